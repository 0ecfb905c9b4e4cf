//! A zip bomb.

use miniz_oxide::MZFlush;
use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream::deflate;

/// ZLIB data (RFC 1950) of so many mebibytes of zeros.
pub(crate) fn mebibytes(count: u32) -> Vec<u8> {
    let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(9, 0, 0));
    let mut part = vec![0; 64 * 1024];
    let done = deflate(&mut compressor, &vec![0; 1024 * 1024], &mut part, MZFlush::Sync);
    part.truncate(done.bytes_written);
    let mut data = vec![0x78, 0x9c];
    data.extend(part.repeat(count as usize));
    // The last block, which is empty, and the checksum (RFC 1950 section 8.2) of so many zeros.
    data.extend([3, 0]);
    let sum = ((count << 20) % 65_521) << 16 | 1;
    data.extend(sum.to_be_bytes());
    data
}
