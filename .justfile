# The commands of this project. `just` lists them.

_default:
    @just --list --justfile {{ justfile() }}

# Runs all checks.
check:
    bash .ci/run

# Runs the example app with the mock issuer.
sign-in:
    cargo run --example sign_in

# Runs the example app with its own capture page.
capture:
    cargo run --example host_your_own_capture

# Runs all benchmarks.
bench:
    cargo bench
