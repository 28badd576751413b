//! Small gzip bodies that decompress to large bodies (RFC 1951, RFC 1952).

/// Iterator over a gzip stream that decompresses to `size` bytes.
///
/// The content is `open`, then `fill` repeatedly, then `close`. The whole stream is valid, so a
/// client can stop the decompression only with its own limit. Each item is one piece of compressed
/// data, so the memory use does not depend on `size`.
pub(super) struct Bomb {
    fill: u8,
    close: &'static [u8],
    /// Number of maximum-length matches that the iterator has not written yet.
    matches: u64,
    /// Number of bytes compressed so far.
    total: u64,
    bits: Bits,
    table: Vec<u32>,
    sum: u32,
    is_over: bool,
}

impl Bomb {
    pub(super) fn new(open: &[u8], fill: u8, size: u64, close: &'static [u8]) -> Self {
        let frame = open.len().saturating_add(close.len()).saturating_add(1);
        let matches = size
            .saturating_sub(u64::try_from(frame).unwrap_or(u64::MAX))
            .div_euclid(MAX_MATCH);
        let mut bomb = Self {
            fill,
            close,
            matches,
            total: 0,
            bits: Bits::default(),
            table: crc_table(),
            sum: u32::MAX,
            is_over: false,
        };
        bomb.bits.out.extend_from_slice(&HEADER);
        bomb.bits.push(0b011, 3); // the last block, with the fixed codes
        for &byte in open {
            bomb.literal(byte);
        }
        bomb.literal(fill);
        bomb
    }

    fn literal(&mut self, byte: u8) {
        self.bits.literal(byte);
        self.count(byte);
    }

    fn count(&mut self, byte: u8) {
        crc(&self.table, &mut self.sum, byte);
        self.total = self.total.saturating_add(1);
    }

    fn finish(&mut self) {
        for &byte in self.close {
            self.literal(byte);
        }
        self.bits.push_code(0, 7); // the end, symbol 256
        self.bits.finish();
        self.bits.out.extend_from_slice(&(!self.sum).to_le_bytes());
        let modulo = u32::try_from(self.total & u64::from(u32::MAX)).unwrap_or(0);
        self.bits.out.extend_from_slice(&modulo.to_le_bytes());
        self.is_over = true;
    }
}

impl Iterator for Bomb {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.is_over {
            return None;
        }
        let matches = self.matches.min(MATCHES_PER_PIECE);
        for _ in 0..matches {
            self.bits.push_code(0b1100_0101, 8); // length 258, symbol 285
            self.bits.push_code(0, 5); // distance 1
            for _ in 0..MAX_MATCH {
                self.count(self.fill);
            }
        }
        self.matches = self.matches.saturating_sub(matches);
        if self.matches == 0 {
            self.finish();
        }
        Some(std::mem::take(&mut self.bits.out))
    }
}

/// Stores `bytes` uncompressed in a valid gzip stream.
pub(in crate::mock) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut out = HEADER.to_vec();
    for block in bytes.chunks(usize::from(u16::MAX)) {
        let size = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(0); // not the last, stored
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&(!size).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&[1, 0, 0, 0xff, 0xff]); // the last, empty
    out.extend_from_slice(&crc32(bytes).to_le_bytes());
    let total = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&total.to_le_bytes());
    out
}

/// Bit buffer. The lowest bit of each byte comes first.
#[derive(Default)]
struct Bits {
    out: Vec<u8>,
    byte: u8,
    used: u32,
}

impl Bits {
    /// Appends bits, the lowest bit first.
    fn push(&mut self, value: u32, count: u32) {
        for place in 0..count {
            if value.wrapping_shr(place) & 1 == 1 {
                self.byte |= 1_u8.wrapping_shl(self.used);
            }
            self.used = self.used.wrapping_add(1);
            if self.used == 8 {
                self.out.push(self.byte);
                (self.byte, self.used) = (0, 0);
            }
        }
    }

    /// Appends a Huffman code, the highest bit first.
    fn push_code(&mut self, code: u32, count: u32) {
        for place in (0..count).rev() {
            self.push(code.wrapping_shr(place) & 1, 1);
        }
    }

    /// Appends a literal byte below 144. All ASCII characters are below 144.
    fn literal(&mut self, byte: u8) {
        self.push_code(u32::from(byte).saturating_add(0x30), 8);
    }

    fn finish(&mut self) {
        if self.used > 0 {
            self.out.push(self.byte);
            (self.byte, self.used) = (0, 0);
        }
    }
}

/// Computes the CRC-32 that gzip and PNG use.
pub(in crate::mock) fn crc32(bytes: &[u8]) -> u32 {
    let (table, mut sum) = (crc_table(), u32::MAX);
    for &byte in bytes {
        crc(&table, &mut sum, byte);
    }
    !sum
}

fn crc_table() -> Vec<u32> {
    (0..256_u32)
        .map(|start| {
            (0..8).fold(start, |c, _| {
                if c & 1 == 1 {
                    0xedb8_8320 ^ (c >> 1)
                } else {
                    c >> 1
                }
            })
        })
        .collect()
}

fn crc(table: &[u32], sum: &mut u32, byte: u8) {
    let place = usize::try_from((*sum ^ u32::from(byte)) & 0xff).unwrap_or(0);
    *sum = table.get(place).copied().unwrap_or(0) ^ (*sum >> 8);
}

/// Gzip header: magic number, method deflate, no flags, no time, no operating system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Maximum length of one match, in bytes.
const MAX_MATCH: u64 = 258;

/// Matches in one piece: 1.6 KiB that decompress to 258 KB.
const MATCHES_PER_PIECE: u64 = 1000;
