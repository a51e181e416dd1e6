#pragma once
#include <string>
#include <vector>

namespace omni::cli {

// What there is to say of one name a user may give: a method, or a scheme that has a name of its own.
struct MethodRow {
  std::string name, online, inputs, what;  // online: the scheme that float weights are rounded to; "" = none
  std::vector<std::string> also, encodings;
  double bits = 0;
  std::string cpu;  // the weights part of the fastest kernel's name; "" when only the reference multiplies it
};

// Every method that rounds or reads here and every scheme with a name, sorted: the code's own lists joined. Bits and
// kernels are those of a 3072 x 3072 matrix.
std::vector<MethodRow> method_rows();

}  // namespace omni::cli
