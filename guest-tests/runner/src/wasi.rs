//! The little of WASI 0.2 that the collector's WASI build imports: environment
//! variables, stderr and the monotonic clock.
//!
//! Written by hand on the linker, because the `wasmtime-wasi` crate brings an
//! async runtime and sockets and doubles the time that the tools take to build.

use std::io::Write;
use std::time::Instant;

use wasmtime::Result;
use wasmtime::component::{ComponentType, Linker, Lower, Resource, ResourceType};

/// The process that a guest sees.
pub struct Wasi {
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Everything that the guest wrote to stderr.
    pub stderr: Vec<u8>,
    /// Whether the guest's stderr also goes to this process's.
    pub echo: bool,
    started: Instant,
}

impl Wasi {
    /// A process whose environment has the variable `TETHER_GC`, if a value is given.
    pub fn new(gc_options: Option<&str>) -> Self {
        Wasi {
            environment: gc_options
                .map(|options| ("TETHER_GC".to_owned(), options.to_owned()))
                .into_iter()
                .collect(),
            stderr: Vec::new(),
            echo: false,
            started: Instant::now(),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.echo {
            // A closed stderr is no reason to stop the guest.
            let _ = std::io::stderr().write_all(bytes);
        }
        self.stderr.extend_from_slice(bytes);
    }
}

/// A store's data that has a [`Wasi`].
pub trait HasWasi: 'static {
    /// The [`Wasi`] in the data.
    fn wasi(&mut self) -> &mut Wasi;
}

/// The only stream there is: stderr.
struct OutputStream;

/// `wasi:io/error`; never made, because writing to stderr does not fail here.
struct IoError;

#[derive(ComponentType, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    #[expect(dead_code, reason = "a case of the interface's type that never happens here")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    #[expect(dead_code, reason = "a case of the interface's type that never happens here")]
    Closed,
}

/// Supplies the interfaces. The linker matches any later 0.2 version to these.
pub fn add_to_linker<T: HasWasi>(linker: &mut Linker<T>) -> Result<()> {
    linker
        .instance("wasi:cli/environment@0.2.0")?
        .func_wrap("get-environment", |mut store, (): ()| {
            Ok((store.data_mut().wasi().environment.clone(),))
        })?;
    linker.instance("wasi:clocks/monotonic-clock@0.2.0")?.func_wrap(
        "now",
        |mut store, (): ()| {
            let elapsed = store.data_mut().wasi().started.elapsed();
            Ok((elapsed.as_nanos() as u64,))
        },
    )?;
    linker.instance("wasi:io/error@0.2.0")?.resource(
        "error",
        ResourceType::host::<IoError>(),
        |_, _| Ok(()),
    )?;
    add_streams(linker)?;
    linker
        .instance("wasi:cli/stderr@0.2.0")?
        .func_wrap("get-stderr", |_, (): ()| Ok((Resource::<OutputStream>::new_own(0),)))
}

fn add_streams<T: HasWasi>(linker: &mut Linker<T>) -> Result<()> {
    let mut streams = linker.instance("wasi:io/streams@0.2.0")?;
    streams.resource("output-stream", ResourceType::host::<OutputStream>(), |_, _| Ok(()))?;
    streams.func_wrap(
        "[method]output-stream.blocking-write-and-flush",
        |mut store, (_, bytes): (Resource<OutputStream>, Vec<u8>)| {
            store.data_mut().wasi().write(&bytes);
            Ok((Ok::<(), StreamError>(()),))
        },
    )
}
