//! Runs one case in a process of its own: by itself, or with an empty SoftHSM and, if asked for, the fault-injecting shim before it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use alloy_primitives::Address;
use dvn_hsm::{Pkcs11Config, Pkcs11Signer, provision::Provisioner, softhsm};
use dvn_testkit::{
    keys::Key,
    pkcs11_shim::{Pkcs11Shim, ShimError},
    softhsm::SoftHsm,
};
use secrecy::SecretString;
use tokio::runtime::Runtime;

pub(crate) const TOKEN: &str = "dvn";
pub(crate) const KEY: &str = "dvn-signing-key";
pub(crate) const PIN: &str = "user-314159";

const FOLDER_VARIABLE: &str = "DVN_HSM_TEST_FOLDER";

/// What a case runs in: a folder with SoftHSM's tokens and the shim's switches.
pub(crate) struct World {
    folder: PathBuf,
    module: PathBuf,
}

/// Runs `case` in a child process; `name` is the path of the test itself, which the child is told to run.
pub(crate) fn plain(name: &str, case: impl FnOnce(&World)) {
    run(name, false, case);
}

/// As [`plain`], with the shim between the signer and SoftHSM, which refuses what AWS CloudHSM refuses.
pub(crate) fn with_shim(name: &str, case: impl FnOnce(&World)) {
    run(name, true, case);
}

/// As [`plain`], without a token: for what a process has one of, such as its logger.
pub(crate) fn alone(name: &str, case: impl FnOnce()) {
    if env::var_os(FOLDER_VARIABLE).is_some() {
        return case();
    }
    let folder = tempfile::tempdir().unwrap();
    begin(Command::new(env::current_exe().unwrap()).env(FOLDER_VARIABLE, folder.path()), name);
}

fn run(name: &str, shim: bool, case: impl FnOnce(&World)) {
    if let Some(folder) = env::var_os(FOLDER_VARIABLE) {
        let folder = PathBuf::from(folder);
        let module = if shim { Pkcs11Shim::at(&folder).library() } else { softhsm::locate().unwrap() };
        return case(&World { folder, module });
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(softhsm) = softhsm::locate() else { return skip("SoftHSM") };
    if shim {
        match Pkcs11Shim::compile(folder.path(), &softhsm) {
            Ok(shim) => shim.refuse_read_only_sessions(),
            Err(error) => {
                assert!(matches!(error, ShimError::NoCompiler), "{error}");
                return skip("a C compiler");
            }
        }
    }
    let mut child = Command::new(env::current_exe().unwrap());
    child.env(FOLDER_VARIABLE, folder.path()).env("SOFTHSM2_CONF", write_configuration(folder.path()));
    begin(&mut child, name);
}

/// Runs the one test of that name in the child.
fn begin(child: &mut Command, name: &str) {
    let output = child.args(["--exact", name, "--nocapture", "--test-threads=1"]).output().unwrap();
    let shown = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{}: {shown}", output.status);
    assert!(shown.contains("1 passed"), "the child ran no test, is its name right? {shown}");
}

#[expect(clippy::panic, reason = "where everything is required, a missing part fails the test")]
#[expect(clippy::print_stderr, reason = "says why the test did nothing")]
fn skip(missing: &str) {
    if env::var_os("DVN_TEST_REQUIRE").is_some_and(|value| value == "1") {
        panic!("{missing} is missing, and DVN_TEST_REQUIRE is set");
    }
    eprintln!("skipped: {missing} is missing");
}

fn write_configuration(folder: &Path) -> PathBuf {
    let tokens = folder.join("tokens");
    fs::create_dir(&tokens).unwrap();
    let file = folder.join("softhsm2.conf");
    let text = format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
    fs::write(&file, text).unwrap();
    file
}

pub(crate) fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    Runtime::new().unwrap().block_on(future)
}

impl World {
    pub(crate) fn module(&self) -> &Path {
        &self.module
    }

    /// Makes the token and no key.
    pub(crate) fn provisioner(&self) -> Provisioner {
        let provisioner = Provisioner::load(&self.module).unwrap();
        provisioner.init_token(TOKEN, &secret("officer-271828"), &secret(PIN)).unwrap();
        provisioner
    }

    /// Makes the token and its key.
    pub(crate) fn provision(&self) -> Address {
        self.provisioner().generate_key(TOKEN, &secret(PIN), KEY, &[1]).unwrap()
    }

    /// Makes the token with these keys, which the test knows too.
    pub(crate) fn import(&self, keys: &[(&str, &Key)]) {
        SoftHsm::create(&self.folder, PIN, keys).unwrap();
    }

    pub(crate) fn config(&self) -> Pkcs11Config {
        Pkcs11Config::new(&self.module, TOKEN, KEY, secret(PIN))
    }

    pub(crate) fn signer(&self) -> Pkcs11Signer {
        Pkcs11Signer::open(self.config()).unwrap()
    }

    /// Where SoftHSM keeps its tokens.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    /// The shim and its switches.
    pub(crate) fn shim(&self) -> Pkcs11Shim {
        Pkcs11Shim::at(&self.folder)
    }
}
