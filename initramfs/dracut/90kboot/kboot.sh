#!/bin/sh
# Runs kboot's boot list. dracut reads this file into its own shell, before the root file system is
# mounted; what kboot set up, and its record in /run, stay.

if ! /bin/kboot init --once; then
    if getargbool 0 kboot.required; then
        die 'kboot: failed, and kboot.required stops the boot'
    fi
    warn 'kboot: failed: the boot goes on without it'
fi
