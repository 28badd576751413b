//! Tests of the storage engines, through the trait `kycport::store::Store`.

mod memory;
