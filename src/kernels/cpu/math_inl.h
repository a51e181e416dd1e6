#pragma once
// Functions of V, accurate to about 1e-6 relative. Include one simd_*.h first.
namespace omni::cpu {
namespace {

// 2^f for |f| <= 1/2: the polynomial of degree 5 with the least relative error, 9.2e-8, of those that are 1 at 0.
inline V exp2_fraction(V f) {
  V p = V::set(1.3264714979e-3f);
  p = V::fma(p, f, V::set(9.6715135093e-3f));
  p = V::fma(p, f, V::set(5.5507337838e-2f));
  p = V::fma(p, f, V::set(2.4022242066e-1f));
  p = V::fma(p, f, V::set(6.9314697757e-1f));
  return V::fma(p, f, V::set(1.0f));
}

// 2^x for x <= 127; 2^-126 below.
inline V exp2(V x) {
  x = V::max(x, V::set(-126.0f));
  const V n = x.round();
  return exp2_fraction(x - n).times_two_to(n);
}

// e^x, x cut to [-87, 87]. ln 2 is split so that n * (first part) is exact.
inline V exp(V x) {
  x = V::max(V::min(x, V::set(87.0f)), V::set(-87.0f));
  const V n = (x * V::set(1.442695041f)).round();
  V r = V::fma(n, V::set(-0.693359375f), x);
  r = V::fma(n, V::set(2.12194440e-4f), r);
  return exp2_fraction(r * V::set(1.442695041f)).times_two_to(n);
}

inline V sigmoid(V x) {
  return V::set(1.0f) / (V::set(1.0f) + exp(V::set(0.0f) - x));
}

// erfc(z), z >= 0, with a relative error below 1.2e-7 in exact arithmetic: t exp(-z^2 + P(t)), t = 1 / (1 + z / 2), P
// of Numerical Recipes, section 6.2.
inline V erfc_positive(V z) {
  const V t = V::set(1.0f) / V::fma(z, V::set(0.5f), V::set(1.0f));
  V p = V::set(0.17087277f);
  p = V::fma(p, t, V::set(-0.82215223f));
  p = V::fma(p, t, V::set(1.48851587f));
  p = V::fma(p, t, V::set(-1.13520398f));
  p = V::fma(p, t, V::set(0.27886807f));
  p = V::fma(p, t, V::set(-0.18628806f));
  p = V::fma(p, t, V::set(0.09678418f));
  p = V::fma(p, t, V::set(0.37409196f));
  p = V::fma(p, t, V::set(1.00002368f));
  p = V::fma(p, t, V::set(-1.26551223f));
  return t * exp(p - z * z);
}

// x sigmoid(u), u = 2 sqrt(2 / pi) (x + 0.044715 x^3): log2(e) is in the constants, so that e^-u = 2^-(u log2 e).
inline V gelu_tanh(V x) {
  const V u = V::fma(x * x, V::set(-0.1029432397f), V::set(-2.302208198f)) * x;
  return x / (V::set(1.0f) + exp2(V::min(u, V::set(126.0f))));
}

// For results that are rounded to bf16 or to 8 bits: to 1e-4 of themselves.

// 2^x: on [0, 1) the polynomial of degree 4 with the least relative error, 2.6e-6.
inline V coarse_exp2(V x) {
  const V f = x.fraction();
  V p = V::set(1.353416800e-2f);
  p = V::fma(p, f, V::set(5.201146108e-2f));
  p = V::fma(p, f, V::set(2.414427561e-1f));
  p = V::fma(p, f, V::set(6.930038348e-1f));
  return V::fma(p, f, V::set(1.000002593f)).times_two_to_floor(x);
}

inline V coarse_gelu_tanh(V x) {
  const V u = V::fma(x * x, V::set(-0.1029432397f), V::set(-2.302208198f)) * x;
  return x * (V::set(1.0f) + coarse_exp2(u)).coarse_inverse();
}

inline V coarse_silu(V x) {
  return x * (V::set(1.0f) + coarse_exp2(x * V::set(-1.442695041f))).coarse_inverse();
}

inline V gelu_erf(V x) {
  const V half = V::set(0.5f) * erfc_positive(x.abs() * V::set(0.7071067812f));
  return x * V::where_below(x, V::set(0.0f), half, V::set(1.0f) - half);
}

inline V quick_gelu(V x) {
  return x * sigmoid(V::set(1.702f) * x);
}

inline V silu(V x) {
  return x * sigmoid(x);
}

}  // namespace
}  // namespace omni::cpu
