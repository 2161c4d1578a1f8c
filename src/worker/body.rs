//! Bodies: read whole as far as a bound allows, or passed on as they come.

use js_sys::{Reflect, Uint8Array};
use nearcache::engine::Runtime;
use nearcache::workers::Workers;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::web_sys::{ReadableStream, ReadableStreamDefaultReader, TransformStream};

/// A body after an attempt to read it whole.
pub(super) enum Body {
    /// All of it. The bytes lie on the JS heap, where they are freed piece by piece: linear memory never shrinks.
    Whole(Uint8Array),
    /// Longer than the bound; nothing of it is lost.
    Streaming(ReadableStream),
}

/// Reads at most `max` bytes.
///
/// # Errors
/// What the runtime says when the origin breaks off.
pub(super) async fn read(stream: Option<ReadableStream>, max: u64) -> Result<Body, JsValue> {
    let Some(stream) = stream else { return Ok(Body::Whole(Uint8Array::new_with_length(0))) };
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    let (mut chunks, mut length) = (Vec::new(), 0_u64);
    while let Some(chunk) = next(&reader).await? {
        length += u64::from(chunk.length());
        chunks.push(chunk);
        if length > max {
            reader.release_lock();
            return splice(chunks, stream).map(Body::Streaming);
        }
    }
    if let [only] = &chunks[..] {
        return Ok(Body::Whole(only.clone()));
    }
    let whole = Uint8Array::new_with_length(u32::try_from(length).unwrap_or(u32::MAX));
    let mut at = 0;
    for chunk in chunks {
        whole.set(&chunk, at);
        at += chunk.length();
    }
    Ok(Body::Whole(whole))
}

async fn next(reader: &ReadableStreamDefaultReader) -> Result<Option<Uint8Array>, JsValue> {
    let read = JsFuture::from(reader.read()).await?;
    if Reflect::get(&read, &"done".into())?.is_truthy() {
        return Ok(None);
    }
    Reflect::get(&read, &"value".into())?.dyn_into().map(Some)
}

/// A stream of what was read and what is still to come.
fn splice(chunks: Vec<Uint8Array>, rest: ReadableStream) -> Result<ReadableStream, JsValue> {
    let through = TransformStream::new()?;
    let readable = through.readable();
    // It fails only when the reader has gone away, and then there is nobody to tell.
    drop(Workers.detach(Box::pin(async move { drop(pour(chunks, rest, &through).await) })));
    Ok(readable)
}

async fn pour(chunks: Vec<Uint8Array>, rest: ReadableStream, through: &TransformStream) -> Result<(), JsValue> {
    let writer = through.writable().get_writer()?;
    for chunk in chunks {
        JsFuture::from(writer.write_with_chunk(&chunk)).await?;
    }
    writer.release_lock();
    JsFuture::from(rest.pipe_to(&through.writable())).await?;
    Ok(())
}
