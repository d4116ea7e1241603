// W6 in AssemblyScript: objects own handles, and `__finalize` releases them. This hook of the
// runtime is not in its documentation. The runtime calls the hook for every object that dies,
// so W6 is a program of its own.

// The value 1 is `Runtime.Minimal` in AssemblyScript's own sources.
const MINIMAL: bool = ASC_RUNTIME == 1;

@external("bench", "acquire")
declare function acquire(): i32;
@external("bench", "release")
declare function release(handle: i32): void;

@final class Wrapper {
  kind: i32;
  handle: i32;
}

// @ts-ignore: decorator
@global
function __finalize(object: usize): void {
  // The object's class stands eight bytes before it.
  if (load<u32>(object - 8) == idof<Wrapper>()) {
    release(changetype<Wrapper>(object).handle);
  }
}

function wrapAndDrop(handle: i32): i64 {
  const wrapper = new Wrapper();
  wrapper.kind = 1;
  wrapper.handle = handle;
  return wrapper.handle & 1;
}

export function w6(thousands: i32): i64 {
  let sum: i64 = 0;
  for (let i: u32 = 0; i < <u32>thousands * 1000; i++) {
    sum += wrapAndDrop(acquire());
    // The minimal runtime collects when it is called: every 4,096 handles.
    if (MINIMAL && (i & 4095) == 4095) __collect();
  }
  __collect();
  return thousands + (sum < 0 ? 1 : 0);
}
