//! Request bodies: read whole and decompressed, within limits of size and time.

use std::future::{Future, poll_fn};
use std::io::Read;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::bufread::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, EXPECT, HeaderMap};
use tokio::time::timeout;

use super::RequestError;
use super::budget::{BodyBudget, HeldBytes};

/// The limits of one request.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest body, as sent and decompressed.
    pub body_bytes: usize,
    /// The longest time that a body may take to arrive.
    pub body_time: Duration,
    /// The bytes of the bodies of all requests.
    pub bodies: Arc<BodyBudget>,
}

/// A body that was read.
#[derive(Debug)]
pub struct HeldBody {
    pub bytes: Bytes,
    /// Keeps the bytes counted as long as they are needed.
    _held: HeldBytes,
}

#[cfg(feature = "grpc")]
impl HeldBody {
    /// The same, decompressed within the limits. It is gzip.
    ///
    /// # Errors
    /// If it is not, is larger, or the bodies of all requests hold too many bytes.
    pub fn decompressed(self, limits: &Limits) -> Result<Self, RequestError> {
        let HeldBody { bytes, _held: mut held } = self;
        let bytes = decompress(&bytes, limits.body_bytes, &mut held)?;
        Ok(HeldBody { bytes, _held: held })
    }
}

/// A body that is too large is read and discarded up to this multiple of the limit, so that a client that sends all of
/// it before it reads still receives the error.
const DISCARDED: usize = 8;

/// Bytes that are decompressed at a time.
const PIECE: usize = 16 << 10;

/// The compression of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContentCoding {
    Identity,
    Gzip,
}

impl ContentCoding {
    /// Reads the coding that headers declare.
    ///
    /// # Errors
    /// If it is another one, or several.
    fn of(headers: &HeaderMap) -> Result<Self, RequestError> {
        let mut coding = ContentCoding::Identity;
        for value in headers.get_all(CONTENT_ENCODING) {
            for name in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
                if name.is_empty() || is("identity") {
                    continue;
                }
                // RFC 9110, section 8.4.1.3: x-gzip is gzip.
                if coding == ContentCoding::Gzip || !(is("gzip") || is("x-gzip")) {
                    return Err(RequestError::ContentEncoding(String::from_utf8_lossy(value.as_bytes()).into_owned()));
                }
                coding = ContentCoding::Gzip;
            }
        }
        Ok(coding)
    }
}

/// Reads a body within the limits and decompresses it. Its `Content-Type` is left to the route.
///
/// # Errors
/// If it is compressed in another way than by gzip or is not valid gzip, is larger or takes longer, the bodies of all
/// requests hold too many bytes, or the connection breaks off.
pub async fn read_body(headers: &HeaderMap, body: Incoming, limits: &Limits) -> Result<HeldBody, RequestError> {
    let coding = match ContentCoding::of(headers) {
        Ok(coding) => coding,
        Err(error) => {
            discard_within(headers, body, limits).await;
            return Err(error);
        }
    };
    let mut held = limits.bodies.begin();
    let read = read(body, limits, &mut held).await?;
    let bytes = match coding {
        ContentCoding::Identity => read,
        ContentCoding::Gzip => decompress(&read, limits.body_bytes, &mut held)?,
    };
    Ok(HeldBody { bytes, _held: held })
}

/// Reads a body within the limits, compressed or not.
///
/// # Errors
/// If it is larger or takes longer, the bodies of all requests hold too many bytes, or the connection breaks off.
pub async fn read_as_sent(body: Incoming, limits: &Limits) -> Result<HeldBody, RequestError> {
    let mut held = limits.bodies.begin();
    let bytes = read(body, limits, &mut held).await?;
    Ok(HeldBody { bytes, _held: held })
}

/// Reads a body within the limits without keeping it, so that a client that sends all of it first receives its answer. One
/// that asks before it sends (`Expect: 100-continue`) is not told to.
pub async fn discard_within(headers: &HeaderMap, mut body: Incoming, limits: &Limits) {
    if headers.contains_key(EXPECT) {
        return;
    }
    let _ = timeout(limits.body_time, discard(&mut body, limits.body_bytes)).await;
}

/// Decompresses a gzip body, of one member or several, to at most `max_bytes` bytes, which are held beside it.
fn decompress(compressed: &[u8], max_bytes: usize, held: &mut HeldBytes) -> Result<Bytes, RequestError> {
    let mut decoder = MultiGzDecoder::new(compressed);
    let (mut whole, mut piece) = (BytesMut::new(), [0; PIECE]);
    loop {
        match decoder.read(&mut piece).map_err(RequestError::Gzip)? {
            0 => return Ok(whole.freeze()),
            read if whole.len() + read > max_bytes => return Err(RequestError::TooLarge(max_bytes)),
            read => {
                held.grow_to(compressed.len() + whole.len() + read)?;
                whole.extend_from_slice(&piece[..read]);
            }
        }
    }
}

/// Reads a body within the limits of size and time.
async fn read(body: Incoming, limits: &Limits, held: &mut HeldBytes) -> Result<Bytes, RequestError> {
    let mut reading = pin!(read_whole(body, limits.body_bytes, held));
    // Nearly every body arrives in one packet with its head. A first poll then saves the timer.
    match poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await {
        Poll::Ready(read) => read,
        Poll::Pending => timeout(limits.body_time, reading).await.unwrap_or(Err(RequestError::TooSlow)),
    }
}

async fn read_whole(mut body: Incoming, max_bytes: usize, held: &mut HeldBytes) -> Result<Bytes, RequestError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max_bytes {
        if announced <= max_bytes.saturating_mul(DISCARDED) {
            discard(&mut body, announced).await;
        }
        return Err(RequestError::TooLarge(max_bytes));
    }
    let first = next(&mut body).await?.unwrap_or_default();
    if body.is_end_stream() && first.len() <= max_bytes {
        return Ok(first);
    }
    // Copied, since the piece may be a small part of the buffer that it was read into.
    let (mut whole, mut piece) = (BytesMut::new(), Some(first));
    while let Some(data) = piece {
        let length = whole.len() + data.len();
        let refused = if length > max_bytes { Err(RequestError::TooLarge(max_bytes)) } else { held.grow_to(length) };
        if let Err(error) = refused {
            drop((whole, data));
            held.release();
            discard(&mut body, max_bytes.saturating_mul(DISCARDED)).await;
            return Err(error);
        }
        whole.extend_from_slice(&data);
        piece = next(&mut body).await?;
    }
    Ok(whole.freeze())
}

/// The next data frame of a body, `None` at its end. Trailers are skipped.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, RequestError> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(RequestError::BrokenOff)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Discards up to `left` bytes of a body.
async fn discard(body: &mut Incoming, mut left: usize) {
    while left > 0 {
        match next(body).await {
            Ok(Some(data)) => left = left.saturating_sub(data.len()),
            Ok(None) | Err(_) => break,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use hyper::header::HeaderValue;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Decompresses without a budget that could be too small.
    fn inflate(compressed: &[u8], max_bytes: usize) -> Result<Bytes, RequestError> {
        decompress(compressed, max_bytes, &mut BodyBudget::new(usize::MAX).begin())
    }

    fn coding(values: &[&str]) -> Result<ContentCoding, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, HeaderValue::from_str(value).unwrap());
        }
        ContentCoding::of(&headers).map_err(|error| error.to_string())
    }

    #[test]
    fn a_body_is_plain_or_gzip_and_nothing_else() {
        use ContentCoding::{Gzip, Identity};
        for (values, expected) in [
            (&[][..], Identity),
            (&["identity"], Identity),
            (&[""], Identity),
            (&["Identity, identity"], Identity),
            (&["gzip"], Gzip),
            (&["GZip"], Gzip),
            (&["x-gzip"], Gzip),
            (&["identity , gzip"], Gzip),
            (&["gzip", "identity"], Gzip),
        ] {
            assert_eq!(coding(values), Ok(expected), "{values:?}");
        }
        for values in [&["br"][..], &["deflate"], &["zstd"], &["gzip, br"], &["gzip, gzip"], &["gzip", "gzip"], &["*"]]
        {
            assert!(coding(values).unwrap_err().ends_with("; expected gzip or identity"), "{values:?}");
        }
    }

    #[test]
    fn a_gzip_body_may_have_several_members_and_no_remains() {
        let both = [gzip(b"{\"a\":"), gzip(b"1}")].concat();
        assert_eq!(inflate(&both, 100).unwrap(), &b"{\"a\":1}"[..]);
        assert_eq!(inflate(&gzip(b""), 0).unwrap(), &b""[..]);
        let whole = gzip(b"{\"instances\":[]}");
        for end in 0..whole.len() {
            assert!(matches!(inflate(&whole[..end], 100), Err(RequestError::Gzip(_))), "{end}");
        }
        for at in [0, 1, 2, 12, whole.len() - 8, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            assert!(inflate(&damaged, 100).is_err(), "{at}");
        }
        assert!(inflate(&[whole.as_slice(), b"rest"].concat(), 100).is_err());
        assert!(inflate(b"{\"instances\":[]}", 100).is_err());
    }

    #[test]
    fn a_gzip_bomb_is_cut_off_at_the_limit() {
        let bomb = gzip(&vec![b' '; 1 << 20]);
        assert!(bomb.len() < 1 << 12);
        assert!(matches!(inflate(&bomb, (1 << 20) - 1), Err(RequestError::TooLarge(_))));
        assert_eq!(inflate(&bomb, 1 << 20).unwrap().len(), 1 << 20);
    }

    #[test]
    fn the_inflated_bytes_of_a_gzip_body_count_as_held() {
        let (packed, budget) = (gzip(&vec![b' '; 1 << 20]), BodyBudget::new(1 << 19));
        let refused = decompress(&packed, 1 << 20, &mut budget.begin());
        assert!(matches!(refused, Err(RequestError::TooManyBodies)), "{refused:?}");
        assert_eq!(decompress(&gzip(b"{}"), 10, &mut budget.begin()).unwrap(), &b"{}"[..]);
    }

    #[test]
    fn any_bytes_are_decompressed_or_refused() {
        let whole = gzip(br#"{"instances":[{"buyer":"ann","amount":1.5}]}"#);
        // A linear congruential generator is random enough to damage with.
        let mut state = 1u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..5_000 {
            let mut damaged = whole.clone();
            for _ in 0..1 + random(4) {
                let at = random(damaged.len());
                match random(3) {
                    0 => damaged[at] = random(256) as u8,
                    1 => damaged.truncate(at.max(1)),
                    _ => damaged.insert(at, random(256) as u8),
                }
            }
            match inflate(&damaged, 1 << 10) {
                Ok(bytes) => assert!(bytes.len() <= 1 << 10),
                Err(RequestError::Gzip(_) | RequestError::TooLarge(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}
