//! The cliffs: small workloads at which a collector may become steep. Each is measured beside its
//! level, which is that work without the condition that makes it steep.
//!
//! `benches/c/cliffs.c` has the functions. A level's id is its cliff's, with `-level`
//! behind it.

use crate::cells::{Cliff, Kind, Unit, Workload};

/// How the id of a level ends.
pub const LEVEL: &str = "-level";

/// A cliff and its level.
struct Pair {
    name: &'static str,
    title: &'static str,
    export: &'static str,
    level_export: &'static str,
    /// The argument of both, in a full run and a quick one.
    n: [u32; 2],
    /// The most pages of the cliff's memory, in a full run and a quick one.
    most_pages: [Option<u32>; 2],
    /// Whether the level's memory has this limit too.
    level_has_limit: bool,
    unit: Unit,
}

/// A cliff measured in nanoseconds, without a limit of memory.
const fn steep(
    name: &'static str,
    title: &'static str,
    [export, level_export]: [&'static str; 2],
    n: [u32; 2],
) -> Pair {
    Pair {
        name,
        title,
        export,
        level_export,
        n,
        most_pages: [None; 2],
        level_has_limit: true,
        unit: Unit::Nanoseconds,
    }
}

impl Pair {
    /// The pair with a limit of memory for the cliff and its level.
    const fn within(mut self, [full, quick]: [u32; 2]) -> Self {
        self.most_pages = [Some(full), Some(quick)];
        self
    }

    /// The pair with a limit of memory for the cliff alone.
    const fn steep_within(self, pages: [u32; 2]) -> Self {
        let mut pair = self.within(pages);
        pair.level_has_limit = false;
        pair
    }

    /// The pair, measured in bytes.
    const fn in_bytes(mut self) -> Self {
        self.unit = Unit::Bytes;
        self
    }
}

const PAIRS: [Pair; 21] = [
    steep(
        "mark-list",
        "collections of a list over older payloads; or with memory to grow (at most 3)",
        ["mark_list"; 2],
        [1_600_000, 200_000],
    )
    .steep_within([782, 98]),
    steep(
        "mark-wide",
        "collections of objects of 2,047 children; or with memory to grow (at most 3)",
        ["mark_wide"; 2],
        [400, 50],
    )
    .steep_within([300, 38]),
    steep(
        "wraps",
        "live wrappers, until one is refused; or with memory to grow",
        ["wraps"; 2],
        [1_000_000, 250_000],
    )
    .steep_within([200, 56]),
    steep(
        "pins",
        "pinned objects, until one is refused; or with memory to grow",
        ["pins"; 2],
        [1_000_000, 250_000],
    )
    .steep_within([200, 56]),
    steep(
        "turns",
        "leaves of 60,000 bytes and blocks of small objects in turns; or apart",
        ["turns", "turns_level"],
        [2_000, 300],
    ),
    steep(
        "weights",
        "register with a weight of 1 MiB, dispose, 15 MiB live; or with a weight of 0",
        ["weights", "weights_level"],
        [20_000, 4_000],
    ),
    steep(
        "size-of",
        "size_of of live leaves of about 24,000 bytes, the slowest size; or the fastest",
        ["size_of", "size_of_level"],
        [20_000, 4_000],
    ),
    steep(
        "root-words",
        "words of a root range beside 20,000 large objects; or beside none",
        ["root_words", "root_words_level"],
        [1_000_000, 200_000],
    ),
    steep(
        "survivors",
        "dying leaves of 8 KiB in a heap of which n MiB were live once; or none",
        ["survivors", "survivors_level"],
        [512, 64],
    ),
    steep(
        "layouts",
        "define_layout, n that differ; or 16",
        ["layouts", "layouts_level"],
        [50_000, 10_000],
    ),
    steep(
        "ranges",
        "add_roots of n ranges, then remove_roots; or of one after the other",
        ["ranges", "ranges_level"],
        [100_000, 20_000],
    ),
    steep(
        "after-wrappers",
        "collections after n wrappers were looked up and died; or none",
        ["after_wrappers_time", "after_wrappers_time_level"],
        [1_000_000, 200_000],
    ),
    steep(
        "full",
        "objects of 8 bytes with room for none; or for 100,000",
        ["full", "full_level"],
        [1_000, 100],
    )
    .within([512, 128]),
    steep(
        "nearly-full",
        "objects of 8 bytes with room for ten; or for 100,000",
        ["nearly_full", "nearly_full_level"],
        [1_000, 100],
    )
    .within([512, 128]),
    steep(
        "requests",
        "leaves of 8 KiB with 16 bytes live in each 4 KiB; or of 2 KiB",
        ["requests", "requests_level"],
        [1_000, 100],
    )
    .within([512, 128]),
    steep(
        "wrappers-left",
        "heap that stays after n wrappers died; or none",
        ["after_wrappers_bytes", "after_wrappers_bytes_level"],
        [1_000_000, 200_000],
    )
    .in_bytes(),
    steep(
        "leaves-fit",
        "leaves of 8 KiB with 16 bytes live in each 4 KiB; or nothing",
        ["leaves_fit", "leaves_fit_level"],
        [1; 2],
    )
    .within([512, 128])
    .in_bytes(),
    steep(
        "fits-10k",
        "objects of 16 bytes after n MiB of leaves of 10,000 bytes; or none",
        ["fits_10k", "fits_level"],
        [100, 12],
    )
    .within([2_048, 256])
    .in_bytes(),
    steep(
        "fits-100k",
        "objects of 16 bytes after n MiB of leaves of 100,000 bytes; or none",
        ["fits_100k", "fits_level"],
        [100, 12],
    )
    .within([2_048, 256])
    .in_bytes(),
    steep(
        "fits-1m",
        "objects of 16 bytes after n MiB of leaves of 1,000,000 bytes; or none",
        ["fits_1m", "fits_level"],
        [100, 12],
    )
    .within([2_048, 256])
    .in_bytes(),
    steep(
        "leaf-fits",
        "largest leaf if memory had grown by n MiB that are free; or had not grown",
        ["leaf_fits", "leaf_fits_level"],
        [60, 15],
    )
    .within([2_048, 512])
    .in_bytes(),
];

/// The cliffs, each followed by its level.
pub fn workloads(quick: bool) -> Vec<Workload> {
    let size = usize::from(quick);
    let workload = |pair: &Pair, level: &str, export, most_pages| Workload {
        id: format!("cliffs-{}{level}", pair.name),
        export,
        title: pair.title.to_owned(),
        n: pair.n[size],
        kind: Kind::Cliff(Cliff { most_pages, unit: pair.unit }),
    };
    PAIRS
        .iter()
        .flat_map(|pair| {
            let most_pages = pair.most_pages[size];
            let level_pages = most_pages.filter(|_| pair.level_has_limit);
            [
                workload(pair, "", pair.export, most_pages),
                workload(pair, LEVEL, pair.level_export, level_pages),
            ]
        })
        .collect()
}
