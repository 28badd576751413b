# The commands of this project. `just` lists them.

_default:
    @just --list --justfile {{ justfile() }}

# Everything that must be green.
check:
    bash .ci/run

# The example app on the mock issuer.
sign-in:
    cargo run --example sign_in

# The example whose own page takes the pictures.
capture:
    cargo run --example host_your_own_capture

# Figures beside their peers, one run each.
bench:
    cargo bench
