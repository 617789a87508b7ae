//! Whoever answers may send us elsewhere; access keys and tokens do not go there.

use dvn_core::error::SignErrorKind;
use dvn_hsm::{AliyunCredentials, AliyunKmsConfig, AliyunKmsSigner};

use super::{World, access_key};
use crate::redirector::redirector;

async fn refusal(config: AliyunKmsConfig) -> SignErrorKind {
    AliyunKmsSigner::open(config).await.unwrap_err().kind()
}

#[tokio::test]
async fn the_service_cannot_send_a_request_elsewhere() {
    let world = World::new();
    let config = AliyunKmsConfig::at(redirector(world.kms.url()), &world.key.id, access_key());
    assert_eq!(refusal(config).await, SignErrorKind::Unavailable);
}

#[tokio::test]
async fn the_metadata_server_cannot_name_another() {
    let world = World::new();
    world.kms.set_role("dvn-node", std::time::Duration::from_secs(3_600));
    let credentials = AliyunCredentials::ecs_ram_role("dvn-node").with_metadata_server(redirector(world.kms.url()));
    assert_eq!(refusal(world.config_of(&world.key.id, credentials)).await, SignErrorKind::Unavailable);
    assert_eq!(world.kms.lent(), 0);
}
