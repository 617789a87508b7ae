use super::{DST, SRC, claim, hash};
use crate::{
    ids::Nonce,
    packet::Path,
    ports::{Neighbours, Paths, Sighting, Store},
};

async fn note(paths: &dyn Paths, path: Path, nonces: &[u64]) {
    let seen: Vec<_> = nonces.iter().map(|nonce| Sighting { path, nonce: Nonce(*nonce) }).collect();
    paths.note(&seen).await.unwrap();
}

const fn gap(first: u64, last: u64) -> Neighbours {
    Neighbours::Gap { first: Nonce(first), last: Nonce(last) }
}

/// [`Paths`]: complete nonces, gaps, and their closing, path by path.
pub async fn paths(make: &impl AsyncFn() -> Store) {
    let store = make().await;
    let paths = store.paths.as_ref();
    let path = claim(1, "a").header.path();
    let other = Path { receiver: hash(0x53), ..path };
    let of = async |path, nonce| paths.neighbours(path, Nonce(nonce)).await.unwrap();

    paths.note(&[]).await.unwrap();
    assert_eq!(of(path, 7).await, Neighbours::Unread);
    // It begins at the lowest nonce of the first note, whatever the order.
    note(paths, path, &[8, 7, 8]).await;
    for nonce in [6, 7, 8] {
        assert_eq!(of(path, nonce).await, Neighbours::Seen, "{nonce}");
    }
    assert_eq!(of(path, 9).await, Neighbours::Unread);
    assert_eq!(of(other, 7).await, Neighbours::Unread);

    assert!(!paths.has_gap(SRC).await.unwrap());
    note(paths, path, &[11, 14]).await;
    assert!(paths.has_gap(SRC).await.unwrap() && !paths.has_gap(DST).await.unwrap());
    assert_eq!(of(path, 11).await, gap(9, 10));
    assert_eq!(of(path, 12).await, Neighbours::Unread);
    assert_eq!(of(path, 14).await, gap(9, 10));
    note(paths, path, &[10, 3]).await;
    assert_eq!(of(path, 11).await, gap(9, 9));
    note(paths, path, &[9]).await;
    assert_eq!(of(path, 11).await, Neighbours::Seen);
    assert_eq!(of(path, 14).await, gap(12, 13));
    note(paths, path, &[12, 13]).await;
    assert_eq!(of(path, 14).await, Neighbours::Seen);
    assert!(!paths.has_gap(SRC).await.unwrap());
    assert_eq!(of(path, 15).await, Neighbours::Unread);

    note(paths, other, &[u64::MAX - 1, u64::MAX]).await;
    assert_eq!(of(other, u64::MAX).await, Neighbours::Seen);
    assert_eq!(of(path, u64::MAX).await, Neighbours::Unread);
}
