# The short names of what one does here. Everything is built in build/PRESET (presets: release, dev, asan, tsan).
PRESET ?= release

.PHONY: demo build test test-asan test-tsan fuzz bench dependencies format lint clean

# From a fresh clone to a trained, served and watched model. Builds the program alone: its tests would take as long again.
demo: dependencies
	@cmake --preset $(PRESET) > build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
	cmake --build --preset $(PRESET) --target tidemill
	scripts/demo

dependencies:
	@scripts/install-dependencies

build: dependencies
	@cmake --preset $(PRESET) > build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
	cmake --build --preset $(PRESET)

# Unit tests, the layering test and the behaviour tests. The last line is "N passed, N failed".
test: build
	scripts/run-tests $(PRESET)

# The same under AddressSanitizer and UndefinedBehaviorSanitizer, and the unit tests under ThreadSanitizer. See tests/README.md.
test-asan test-tsan: test-%: dependencies
	@cmake --preset $* > build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
	cmake --build --preset $* --target tidemill unit_tests
	scripts/run-tests $*

# A minute (FUZZ_SECONDS) for each thing that reads bytes from outside, two at once. Installs Clang.
fuzz:
	@scripts/fuzz

# All benchmarks, or one: make bench ONLY=name
bench: build
	python3 bench/run.py $(ONLY)

format:
	git ls-files 'src/*.h' 'src/*.cc' | xargs -r clang-format -i

lint: dependencies
	scripts/lint
	python3 tests/layering_test.py

clean:
	rm -rf build

$(shell mkdir -p build)
