//! Opens the paths of one chain to and from all the others.

use alloy_primitives::{Address, U256};

use super::{Addresses, ChainSpec, deployment::vid, script::Script};
use crate::bindings::{
    DefaultExecutorConfig, DefaultUlnConfig, Dvn, DvnDstConfig, Endpoint, ExecutorConfig, ExecutorDstConfig,
    ExecutorWorker, Price, PriceFeed, ReceiveUln, SendUln, UlnConfig, UpdatePrice,
};

/// The remote native token is worth as much as ours, with the 20 decimals of the price feed.
const PRICE_RATIO: u128 = 10_u128.pow(20);
const GAS_PRICE: u64 = 1_000_000_000;
const GAS_PER_BYTE: u32 = 16;
const LZ_RECEIVE_BASE_GAS: u64 = 5_000;
const EXECUTOR_MULTIPLIER_BPS: u16 = 10_000;
/// 1 ether.
const NATIVE_CAP: u128 = 10_u128.pow(18);
const DVN_GAS: u64 = 60_000;
const DVN_MULTIPLIER_BPS: u16 = 12_000;
const MAX_MESSAGE_SIZE: u32 = 10_000;

/// The libraries' defaults come before the endpoint's: it refuses a library that does not support the remote chain.
pub(super) fn wire(script: &mut Script<'_>, local: &ChainSpec, remotes: &[&ChainSpec], at: &Addresses) {
    if remotes.is_empty() {
        return;
    }
    set_prices(script, remotes, at);
    set_libraries(script, local, remotes, at);
    for remote in remotes {
        let eid = remote.eid;
        script.call(at.endpoint, &Endpoint::setDefaultSendLibraryCall { eid, lib: at.send_lib });
        let receive = Endpoint::setDefaultReceiveLibraryCall { eid, lib: at.receive_lib, gracePeriod: U256::ZERO };
        script.call(at.endpoint, &receive);
    }
}

fn set_prices(script: &mut Script<'_>, remotes: &[&ChainSpec], at: &Addresses) {
    let price = Price { priceRatio: PRICE_RATIO, gasPriceInUnit: GAS_PRICE, gasPerByte: GAS_PER_BYTE };
    // The price feed is keyed by legacy endpoint ids; with the full ones every fee would be zero.
    let prices = remotes.iter().map(|r| UpdatePrice { eid: vid(r.eid), price: price.clone() }).collect();
    script.call(at.price_feed, &PriceFeed::setPriceCall { prices });
    let params = remotes.iter().map(|r| executor_dst_config(r.eid)).collect();
    script.call(at.executor, &ExecutorWorker::setDstConfigCall { params });
    let params: Vec<_> = remotes.iter().map(|r| dvn_dst_config(r.eid)).collect();
    for dvn in [at.dvn, at.other_dvn] {
        script.call(dvn, &Dvn::setDstConfigCall { params: params.clone() });
    }
}

fn set_libraries(script: &mut Script<'_>, local: &ChainSpec, remotes: &[&ChainSpec], at: &Addresses) {
    let executor = ExecutorConfig { maxMessageSize: MAX_MESSAGE_SIZE, executor: at.executor };
    let params = remotes.iter().map(|r| DefaultExecutorConfig { eid: r.eid, config: executor.clone() }).collect();
    script.call(at.send_lib, &SendUln::setDefaultExecutorConfigsCall { params });
    let params = remotes.iter().map(|r| default_uln_config(r.eid, local.confirmations, at.dvn)).collect();
    script.call(at.send_lib, &SendUln::setDefaultUlnConfigsCall { params });
    let params = remotes.iter().map(|r| default_uln_config(r.eid, r.confirmations, at.dvn)).collect();
    script.call(at.receive_lib, &ReceiveUln::setDefaultUlnConfigsCall { params });
}

const fn executor_dst_config(remote: u32) -> ExecutorDstConfig {
    ExecutorDstConfig {
        dstEid: remote,
        lzReceiveBaseGas: LZ_RECEIVE_BASE_GAS,
        lzComposeBaseGas: 0,
        multiplierBps: EXECUTOR_MULTIPLIER_BPS,
        floorMarginUSD: 0,
        nativeCap: NATIVE_CAP,
    }
}

const fn dvn_dst_config(remote: u32) -> DvnDstConfig {
    DvnDstConfig { dstEid: remote, gas: DVN_GAS, multiplierBps: DVN_MULTIPLIER_BPS, floorMarginUSD: 0 }
}

fn default_uln_config(remote: u32, confirmations: u64, dvn: Address) -> DefaultUlnConfig {
    let config = UlnConfig {
        confirmations,
        requiredDVNCount: 1,
        optionalDVNCount: 0,
        optionalDVNThreshold: 0,
        requiredDVNs: vec![dvn],
        optionalDVNs: Vec::new(),
    };
    DefaultUlnConfig { eid: remote, config }
}
