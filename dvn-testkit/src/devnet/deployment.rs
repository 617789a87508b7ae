//! Puts LayerZero V2 and our test contracts on one chain.

use alloy_primitives::{Address, U64, U256};
use alloy_sol_types::SolConstructor;

use super::{ChainSpec, DevnetBuilder, DevnetError, script::Script, wiring};
use crate::{
    anvil::Anvil,
    bindings::{
        Dvn, Endpoint, EndpointView, ExecutorWorker, FeeLib, OApp, PriceFeed, ReceiveUln, ReceiveView, SendUln,
        Treasury, Worker,
    },
    contracts::{Contracts, ContractsError},
    keys,
};

const TREASURY_GAS_LIMIT: u64 = 200_000;
/// 0.1 ether.
const TREASURY_FEE_CAP: u64 = 100_000_000_000_000_000;
const TREASURY_BASIS_POINTS: u64 = 500;
/// 3000 dollars, with the 20 decimals of the price feed.
const NATIVE_TOKEN_PRICE: u128 = 3_000 * 10_u128.pow(20);
const NATIVE_DECIMALS_RATE: u64 = 1_000_000_000_000_000_000;

/// LayerZero's convention: a contract's verifier id is its chain's legacy endpoint id.
const VID_MODULUS: u32 = 30_000;
const OTHER_VID_OFFSET: u32 = 10_000;

/// Where the contracts of one chain are.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Addresses {
    /// `EndpointV2`.
    pub endpoint: Address,
    /// `SendUln302`.
    pub send_lib: Address,
    /// `ReceiveUln302`.
    pub receive_lib: Address,
    /// LayerZero's `Treasury`, which takes 5% on top of the workers' fees.
    pub treasury: Address,
    /// `PriceFeed`, from which the workers compute their fees.
    pub price_feed: Address,
    /// Our `DVN`: the default one of every path.
    pub dvn: Address,
    /// A `DVN` of somebody else: on no path, unless an application asks for it.
    pub other_dvn: Address,
    /// `Executor`.
    pub executor: Address,
    /// `EndpointV2View`.
    pub endpoint_view: Address,
    /// `ReceiveUln302View`.
    pub receive_view: Address,
    /// Our application, which sends and receives.
    pub oapp: Address,
    /// Emits look-alikes of the endpoint's and the library's events.
    pub decoy: Address,
    /// Emits them in the middle of a send, when an application lists it as a DVN.
    pub hostile_dvn: Address,
}

/// The verifier id of our DVN on the chain `eid`.
pub(super) const fn vid(eid: u32) -> u32 {
    eid.rem_euclid(VID_MODULUS)
}

/// The verifier id of the other DVN on the chain `eid`.
pub(super) const fn other_vid(eid: u32) -> u32 {
    vid(eid).saturating_add(OTHER_VID_OFFSET)
}

/// Deploys and wires everything. `index` shifts the addresses by one contract for each chain, so that one address is,
/// for example, the send library here and the receive library there, as happens on the live chains.
pub(super) async fn run(
    anvil: &Anvil,
    contracts: &Contracts,
    spec: &ChainSpec,
    remotes: &[&ChainSpec],
    network: &DevnetBuilder,
    index: u64,
) -> Result<Addresses, DevnetError> {
    let deployer = keys::deployer();
    anvil.rpc::<serde_json::Value>("anvil_setNonce", (deployer.address(), U64::from(index))).await?;
    let mut script = Script::new(contracts, deployer, index);
    let addresses = create(&mut script, spec, network)?;
    wiring::wire(&mut script, spec, remotes, &addresses);
    script.run(anvil, &spec.name, spec.anvil.chain_id).await?;
    Ok(addresses)
}

fn create(script: &mut Script<'_>, spec: &ChainSpec, network: &DevnetBuilder) -> Result<Addresses, ContractsError> {
    let owner = keys::deployer().address();
    let eid = spec.eid;
    let endpoint = script.create("EndpointV2", &Endpoint::constructorCall { eid, owner }.abi_encode())?;
    let (send_lib, receive_lib) = create_libraries(script, endpoint)?;
    let treasury = create_treasury(script, send_lib)?;
    let price_feed = create_price_feed(script, owner)?;
    let libraries = vec![send_lib, receive_lib];
    let (dvn, other_dvn) = create_dvns(script, eid, network, &libraries, price_feed)?;
    let executor = create_executor(script, eid, endpoint, libraries, price_feed)?;
    let endpoint_view = script.create("EndpointV2View", &[])?;
    script.call(endpoint_view, &EndpointView::initializeCall { endpoint });
    let receive_view = script.create("ReceiveUln302View", &[])?;
    script.call(receive_view, &ReceiveView::initializeCall { endpoint, receiveUln302: receive_lib });
    let oapp = script.create("TestOApp", &OApp::constructorCall { endpoint, delegate: owner }.abi_encode())?;
    let decoy = script.create("Decoy", &[])?;
    let hostile_dvn = script.create("HostileDvn", &[])?;
    Ok(Addresses {
        endpoint,
        send_lib,
        receive_lib,
        treasury,
        price_feed,
        dvn,
        other_dvn,
        executor,
        endpoint_view,
        receive_view,
        oapp,
        decoy,
        hostile_dvn,
    })
}

fn create_libraries(script: &mut Script<'_>, endpoint: Address) -> Result<(Address, Address), ContractsError> {
    let arguments = SendUln::constructorCall {
        endpoint,
        treasuryGasLimit: U256::from(TREASURY_GAS_LIMIT),
        treasuryNativeFeeCap: U256::from(TREASURY_FEE_CAP),
    };
    let send_lib = script.create("SendUln302", &arguments.abi_encode())?;
    let receive_lib = script.create("ReceiveUln302", &ReceiveUln::constructorCall { endpoint }.abi_encode())?;
    for lib in [send_lib, receive_lib] {
        script.call(endpoint, &Endpoint::registerLibraryCall { lib });
    }
    Ok((send_lib, receive_lib))
}

fn create_treasury(script: &mut Script<'_>, send_lib: Address) -> Result<Address, ContractsError> {
    let treasury = script.create("Treasury", &[])?;
    script.call(treasury, &Treasury::setNativeFeeBPCall { nativeBP: U256::from(TREASURY_BASIS_POINTS) });
    script.call(send_lib, &SendUln::setTreasuryCall { treasury });
    Ok(treasury)
}

fn create_price_feed(script: &mut Script<'_>, owner: Address) -> Result<Address, ContractsError> {
    let feed = script.create("PriceFeed", &[])?;
    script.call(feed, &PriceFeed::initializeCall { priceUpdater: owner });
    script.call(feed, &PriceFeed::setNativeTokenPriceUSDCall { price: NATIVE_TOKEN_PRICE });
    Ok(feed)
}

fn create_dvns(
    script: &mut Script<'_>,
    eid: u32,
    network: &DevnetBuilder,
    libraries: &[Address],
    price_feed: Address,
) -> Result<(Address, Address), ContractsError> {
    let fee_lib = script.create("DVNFeeLib", &fee_lib_arguments(eid))?;
    // The deployer is an admin too, because fees are set by an admin.
    let owner = keys::deployer().address();
    let other = keys::other_signer().address();
    let ours = Dvn::constructorCall {
        localEidV2: eid,
        vid: vid(eid),
        messageLibs: libraries.to_vec(),
        priceFeed: price_feed,
        signers: network.signers.clone(),
        quorum: network.quorum,
        admins: network.submitters.iter().copied().chain([owner]).collect(),
    };
    let others = Dvn::constructorCall {
        vid: other_vid(eid),
        signers: vec![other],
        quorum: 1,
        admins: vec![other, owner],
        ..ours.clone()
    };
    let mut create = |arguments: Dvn::constructorCall| {
        let dvn = script.create("DVN", &arguments.abi_encode())?;
        script.call(dvn, &Worker::setWorkerFeeLibCall { feeLib: fee_lib });
        Ok(dvn)
    };
    Ok((create(ours)?, create(others)?))
}

fn create_executor(
    script: &mut Script<'_>,
    eid: u32,
    endpoint: Address,
    libraries: Vec<Address>,
    price_feed: Address,
) -> Result<Address, ContractsError> {
    let owner = keys::deployer().address();
    let fee_lib = script.create("ExecutorFeeLib", &fee_lib_arguments(eid))?;
    let executor = script.create("Executor", &[])?;
    let initialize = ExecutorWorker::initializeCall {
        endpoint,
        receiveUln301: Address::ZERO,
        messageLibs: libraries,
        priceFeed: price_feed,
        roleAdmin: owner,
        admins: vec![owner],
    };
    script.call(executor, &initialize);
    script.call(executor, &Worker::setWorkerFeeLibCall { feeLib: fee_lib });
    Ok(executor)
}

fn fee_lib_arguments(eid: u32) -> Vec<u8> {
    let rate = U256::from(NATIVE_DECIMALS_RATE);
    FeeLib::constructorCall { localEidV2: eid, nativeDecimalsRate: rate }.abi_encode()
}
