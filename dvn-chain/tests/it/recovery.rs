//! What remains of what was learned once seats were out of reach.

use std::{sync::Arc, time::Duration};

use dvn_chain::{ChainClass, SourceConfig};
use dvn_core::error::VerifyErrorKind;
use dvn_testkit::proxy::Fault;

use crate::proxied::{Looker, Net, PATIENT};

/// Just above what is tolerated.
const OUTAGE: Duration = Duration::from_millis(5_200);
const COOL_DOWN: Duration = Duration::from_millis(500);
const RECEIPTS: &str = "eth_getBlockReceipts";

/// T03: what was agreed before an outage is agreed anew after it, and nothing is verified before the cool-down is over.
#[tokio::test]
async fn t03_after_an_outage_everything_is_learned_anew() {
    let Some(net) = Net::start(4).await else { return };
    for class in [ChainClass::Ethereum, ChainClass::Conflux] {
        let (_, location) = net.send_final().await;
        let config = SourceConfig { cool_down: COOL_DOWN, ..net.config(class) };
        let looker = Looker::new(Arc::new(net.panel(3, PATIENT)), config);
        looker.found(&location).await;
        net.forget();
        looker.found(&location).await;
        assert_eq!(net.asked(RECEIPTS).len(), 0, "{class:?}: it is remembered");

        net.fault(0..2, &Fault::Status { code: 502, retry_after: None });
        assert_eq!(looker.failure(&location).await, VerifyErrorKind::Missing);
        tokio::time::sleep(OUTAGE).await;
        net.honest();
        assert_eq!(looker.failure(&location).await, VerifyErrorKind::Recovering, "{class:?}");
        tokio::time::sleep(COOL_DOWN).await;
        net.forget();
        looker.found(&location).await;
        assert!(!net.asked(RECEIPTS).is_empty(), "{class:?}: what was learned before the outage is still believed");
    }
}
