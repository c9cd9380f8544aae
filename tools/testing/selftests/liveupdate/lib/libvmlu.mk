# SPDX-License-Identifier: GPL-2.0
# Needs libliveupdate.mk, which has to be included before.

LIBVMLU_SRCDIR := $(selfdir)/liveupdate/lib

LIBVMLU_C := vmlu.c
LIBVMLU_C += vmlu_socket.c

LIBVMLU_OUTPUT := $(OUTPUT)/libvmlu

LIBVMLU_O := $(patsubst %.c, $(LIBVMLU_OUTPUT)/%.o, $(LIBVMLU_C))

$(LIBVMLU_OUTPUT):
	$(Q)mkdir -p $@

$(LIBVMLU_O): $(LIBVMLU_OUTPUT)/%.o : $(LIBVMLU_SRCDIR)/%.c | $(LIBVMLU_OUTPUT)
	$(CC) $(CFLAGS) $(CPPFLAGS) $(TARGET_ARCH) -c $< -o $@

EXTRA_CLEAN += $(LIBVMLU_OUTPUT)
