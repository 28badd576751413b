//! Helpers that run the program `kycport-mock`.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use serde_json::Value;

/// Mock process. Dropping this value ends the program.
pub(crate) struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    pub(crate) output: Value,
}

impl Running {
    /// Starts the program on a free port with these additional flags.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut child = command(&["--bind", "127.0.0.1:0", "--print", "json"])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let output = serde_json::from_str(&line).unwrap();
        Self { child, out, output }
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.output[name].as_str().unwrap()
    }

    /// Sends a signal and waits until the program ends. Returns standard output, standard error,
    /// and whether the exit status was a success.
    #[cfg(unix)]
    pub(crate) fn end_by(mut self, signal: &str) -> (String, String, bool) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
        self.finish()
    }

    /// Closes standard input and waits until the program ends. Returns the same values as `end_by`.
    pub(crate) fn close_stdin(mut self) -> (String, String, bool) {
        drop(self.child.stdin.take());
        self.finish()
    }

    fn finish(&mut self) -> (String, String, bool) {
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        let errors = self.child.stderr.as_mut().unwrap();
        errors.read_to_string(&mut err).unwrap();
        (out, err, self.child.wait().unwrap().success())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kycport-mock"));
    command.args(arguments).env_remove("KYCPORT_MOCK_URL");
    command
}

/// Runs the program until it ends.
pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// Runs the program, which must fail. Returns the program's standard error and exit code.
pub(crate) fn failure(arguments: &[&str]) -> (String, i32) {
    let output = run(arguments);
    assert!(!output.status.success());
    let stderr = String::from_utf8(output.stderr).unwrap();
    (stderr, output.status.code().unwrap())
}

/// Returns the path of a file of this project.
pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Writes a file for one test.
pub(crate) fn written(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}
