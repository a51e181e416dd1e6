#pragma once
#include "media/image.h"

namespace omni {

// How alike two pictures of one size are. Throw Error when the sizes differ.

// Peak signal to noise ratio in dB over all channels, peak 255; infinity for equal pictures.
double psnr(const Image& a, const Image& b);

// Structural similarity (Wang et al. 2004): gaussian window 11x11, sigma 1.5, K1 0.01, K2 0.03, mean over the RGB
// channels and over the pixels whose window lies inside. Pictures of at least 11x11. 1 for equal pictures.
double ssim(const Image& a, const Image& b);

// Mean FLIP error of low dynamic range pictures (Andersson et al. 2020) at 67 pixels a degree; 0 for equal pictures,
// at most 1. The order counts little: the first is the reference.
double flip(const Image& reference, const Image& test);

// The largest difference of one channel of one pixel, 0 to 255.
int max_difference(const Image& a, const Image& b);

}  // namespace omni
