//! Runs one case in a process of its own, with an empty SoftHSM and, if asked for, the fault-injecting shim before it.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use alloy_primitives::Address;
use dvn_hsm::{Pkcs11Config, Pkcs11Signer, provision::Provisioner, softhsm};
use secrecy::SecretString;
use tokio::runtime::Runtime;

pub(crate) const TOKEN: &str = "dvn";
pub(crate) const KEY: &str = "dvn-signing-key";
pub(crate) const PIN: &str = "user-314159";

const FOLDER_VARIABLE: &str = "DVN_HSM_TEST_FOLDER";
const SHIM_SOURCE: &str = include_str!("shim.c");

/// What a case runs in: a folder with SoftHSM's tokens and the shim's switches.
pub(crate) struct World {
    folder: PathBuf,
    module: PathBuf,
}

/// Runs `case` in a child process; `name` is the path of the test itself, which the child is told to run.
pub(crate) fn plain(name: &str, case: impl FnOnce(&World)) {
    run(name, false, case);
}

/// As [`plain`], with the shim between the signer and SoftHSM.
pub(crate) fn with_shim(name: &str, case: impl FnOnce(&World)) {
    run(name, true, case);
}

fn run(name: &str, shim: bool, case: impl FnOnce(&World)) {
    if let Some(folder) = env::var_os(FOLDER_VARIABLE) {
        let folder = PathBuf::from(folder);
        let shim_library = folder.join("shim.so");
        let module = if shim { shim_library } else { softhsm::locate().unwrap() };
        return case(&World { folder, module });
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(softhsm) = softhsm::locate() else { return skip("SoftHSM") };
    if shim && !compile_shim(folder.path()) {
        return skip("a C compiler");
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(FOLDER_VARIABLE, folder.path())
        .env("SOFTHSM2_CONF", write_configuration(folder.path()))
        .env("SHIM_TARGET", softhsm)
        .env("SHIM_FOLDER", folder.path())
        .output()
        .unwrap();
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

fn compile_shim(folder: &Path) -> bool {
    let source = folder.join("shim.c");
    fs::write(&source, SHIM_SOURCE).unwrap();
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let arguments = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"];
    let status = Command::new(compiler).args(arguments).arg(folder.join("shim.so")).arg(&source).arg("-ldl").status();
    match status {
        Ok(status) => {
            assert!(status.success(), "the shim does not compile");
            true
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => unreachable!("{error}"),
    }
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

    /// Turns a switch of the shim on: a file whose name says what happens and whose text says how.
    pub(crate) fn switch(&self, name: &str, text: &str) {
        // Moved into place whole, since the shim may look at any moment.
        let draft = self.folder.join("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.folder.join(name)).unwrap();
    }

    /// Turns a switch off; one that is not on stays off.
    pub(crate) fn switch_off(&self, name: &str) {
        match fs::remove_file(self.folder.join(name)) {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{name}: {error}"),
        }
    }

    /// How often the shim saw this function called.
    pub(crate) fn calls(&self, function: &str) -> usize {
        let log = fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        log.lines().filter(|line| *line == function).count()
    }
}
