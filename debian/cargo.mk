# What the packages for Debian's nginx and for nginx.org's have in common: cargo builds them.

include /usr/share/dpkg/default.mk

CARGO_HOME ?= $(HOME)/.cargo
# No folder of the machine that builds gets into the files, so two builds give the same bytes.
REMAP = $(CURDIR)=/usr/src/ngx-token-auth
REMAP_CARGO = $(CARGO_HOME)=/usr/share/cargo
export RUSTFLAGS = --remap-path-prefix=$(REMAP) --remap-path-prefix=$(REMAP_CARGO)
export CFLAGS = -ffile-prefix-map=$(REMAP) -ffile-prefix-map=$(REMAP_CARGO)
export CARGO_TARGET_DIR = $(CURDIR)/debian/cargo
GENERATED = debian/cargo debian/man debian/completions .nginx dist

# Neither configure nor make, and not the build system of nginx-dev, which is for modules in C.
override_dh_auto_configure:
override_dh_auto_install:

# `./build.sh build` has loaded the module into nginx. The tests take half an hour.
override_dh_auto_test:

override_dh_auto_clean:
	rm -rf $(GENERATED)

# Cargo has stripped them already.
override_dh_strip:
	dh_strip --no-automatic-dbgsym

# The documents link to each other.
override_dh_compress:
	dh_compress -X.md
