# Every command of the project; each installs what it needs (tools/install_packages) and repeats at once.
#   make demo          paint the contact sheet and the page into out/
#   make test          format check, floor check, all tests
#   make test-asan     the same tests under AddressSanitizer and UndefinedBehaviorSanitizer
#   make test-tsan     the thread pool and engine tests under ThreadSanitizer
#   make fuzz          every parser of foreign bytes under libFuzzer, FUZZ_SECONDS each (60)
#   make interop      what omni quantize writes, opened by the readers of other projects (a venv of its own)
#   make bench-flux    mini-FLUX against diffusers in one run (installs torch into a venv of its own)
#   make bench-codec   GB/s a type encodes and decodes, against gguf-py and torch in one run
#   make bench-kernels GFLOP/s of the kernels beside the machine's measured peak
#   make format        rewrite the sources in the project's style
JOBS ?= $(shell nproc)
RELEASE := build/release
OMNI := $(RELEASE)/bin/omni
CACHE ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/omni

.PHONY: all demo test test-asan test-tsan fuzz interop bench-flux bench-codec bench-kernels format packages-demo packages-test clean

all: packages-demo
	@tools/build $(RELEASE) omni

packages-demo:
	@tools/install_packages build
packages-test:
	@tools/install_packages build test

demo: packages-demo
	@tools/build $(RELEASE) omni
	@mkdir -p out
	$(OMNI) verify mini-flux --quantization int8,fp8,q4_k --report out/demo.html --sheet out/demo.png \
	  --prompt "a crab on a teal background" --prompt "unicorn face" --prompt "slice of pizza on yellow" --prompt "rocket"
	@echo "look at out/demo.png and out/demo.html"

test: packages-test
	@tools/check_format
	@python3 tools/check_floors.py
	@tools/build $(RELEASE) all -DOMNI_TESTS=ON -DOMNI_BENCH=ON
	cd $(RELEASE) && ctest --output-on-failure -j $(JOBS)

test-asan: packages-test
	@tools/build build/asan all -DOMNI_TESTS=ON -DOMNI_SANITIZE=ON
	cd build/asan && ctest --output-on-failure -j $(JOBS)

test-tsan: packages-test
	@tools/build build/tsan "base_tests engine_tests" -DOMNI_TESTS=ON -DOMNI_TSAN=ON
	build/tsan/tests/base_tests --gtest_brief=1
	build/tsan/tests/engine_tests --gtest_brief=1 --gtest_filter='FluxTiny*:*SteadyState*'

FUZZ_SECONDS ?= 60
fuzz: packages-test
	@tools/install_packages fuzz
	@tools/fuzz build/fuzz $(FUZZ_SECONDS)

interop: packages-demo
	@tools/build $(RELEASE) omni
	@tests/interop/venv $(CACHE)/interop-venv
	$(CACHE)/interop-venv/bin/python tests/interop/quantize.py --omni $(OMNI)

bench-flux: packages-demo
	@tools/build $(RELEASE) omni
	@bench/peers/venv $(CACHE)/bench-venv
	$(CACHE)/bench-venv/bin/python bench/flux.py --omni $(OMNI) --model models/mini-flux

bench-codec: packages-test
	@tools/build $(RELEASE) all -DOMNI_TESTS=ON -DOMNI_BENCH=ON
	@bench/peers/venv $(CACHE)/bench-venv
	$(CACHE)/bench-venv/bin/python bench/codec.py --bench $(RELEASE)/bench/omni_bench_codec

bench-kernels: packages-test
	@tools/build $(RELEASE) all -DOMNI_TESTS=ON -DOMNI_BENCH=ON
	for b in $(RELEASE)/bench/omni_bench_gemm $(RELEASE)/bench/omni_bench_ops; do $$b --benchmark_min_time=0.2; done

format:
	git ls-files -co --exclude-standard '*.h' '*.cpp' | xargs clang-format-14 -i

clean:
	rm -rf build out
