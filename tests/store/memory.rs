//! The store in memory.

use kycport::store::{MemoryStore, Store as _};

#[test]
fn the_memory_store_says_what_it_guarantees() {
    let properties = MemoryStore::default().properties();
    assert!(!properties.shared && !properties.durable);
}
