// A run as one object, with the fields that the wasmtime host prints. `xtask`
// puts them in order and words the errors.

/** How a run ended: the exit codes. */
export const SUCCESS = 0;
export const FAILURE = 1;
export const TRAP = 2;

/**
 * The report of a run. `ended` has the program's `outcome` or the error that it
 * threw as `trap`, and the `seconds` that it took.
 */
export function reportOf(ended, decimals, around) {
  const report = {
    ...around,
    handles_unreleased_at_end: decimals.live,
    host_handles_made: decimals.made,
    host_handles_peak: decimals.peak,
    seconds: ended.seconds,
    ...(ended.outcome && statisticsOf(ended.outcome.statistics)),
    ...(ended.outcome?.report.tag === 'ok' && documentOf(ended.outcome.report.val)),
  };
  const [code, error] = errorOf(ended, decimals);
  return [code, error === null ? report : { ...report, error }];
}

/** The report of a run that did not begin. */
export function reportOfNone(around, kind, message) {
  return { ...around, error: { kind, message } };
}

function statisticsOf(statistics) {
  return {
    wrappers_registered: Number(statistics.wrappersRegistered),
    handles_released: Number(statistics.handlesReleased),
    unreleased_peak: statistics.unreleasedPeak,
    wrap_table_capacity: statistics.wrapTableCapacity,
    wrap_table_peak: statistics.wrapTablePeak,
    collections: statistics.collections,
    heap_peak_bytes: statistics.heapPeakBytes,
    collections_for_handles: statistics.collectionsForHandles,
    allocated_bytes: Number(statistics.allocatedBytes),
    roots_peak: statistics.rootsPeak,
    pause_longest_ns: Number(statistics.pauseLongestNs),
    pause_total_ns: Number(statistics.pauseTotalNs),
  };
}

function documentOf(report) {
  return {
    sum: report.sum,
    numbers: report.numbers,
    nulls: report.nulls,
    booleans: report.booleans,
    strings: report.strings,
    arrays: report.arrays,
    objects: report.objects,
    longest_string: report.longestString,
    longest_string_chars: report.longestStringChars,
    deepest_path: report.deepestPath,
    depth: report.depth,
  };
}

/** The exit code, and the `error` object or null. */
function errorOf({ outcome, trap }, decimals) {
  const faults = decimals.check();
  const handles = faults === null ? {} : { handles: faults };
  if (trap !== undefined) {
    return [TRAP, { kind: 'trap', message: trap.stack ?? String(trap), ...handles }];
  }
  if (outcome.report.tag === 'err') {
    return [FAILURE, { ...errorOfFailure(outcome.report.val), ...handles }];
  }
  if (faults !== null) {
    return [FAILURE, { kind: 'handles', ...handles }];
  }
  const { wrappersRegistered, handlesReleased } = outcome.statistics;
  if (wrappersRegistered !== handlesReleased) {
    return [FAILURE, { kind: 'counts' }];
  }
  return [SUCCESS, null];
}

function errorOfFailure(failure) {
  if (failure.tag === 'malformed') {
    const { at, message } = failure.val;
    return { kind: 'malformed', line: at.line, column: at.column, message };
  }
  const { reason, during } = failure.val;
  return { kind: 'collector', reason: reason.code, figure: reason.value, during };
}
