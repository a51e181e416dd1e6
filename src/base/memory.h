#pragma once
#include <cstdint>

namespace omni {

// Largest resident set of this process since the last reset, in bytes; 0 where the system does not say.
int64_t peak_resident_bytes();
// Starts a new measurement (Linux: /proc/self/clear_refs); before it free memory is given back to the system, so that
// what an earlier job left behind does not count. False where that is not possible: the peak then is the process's.
bool reset_peak_resident();

}  // namespace omni
