#!/usr/bin/env bats
# Commands of which one allocation fails and later ones succeed (tests/faults.bash). All behind it fail too in the test programs (xr_alloc_fail_after).

load faults

@test "allocations of our own code that fail: 71, and nothing half done" {
    [ -z "${SAN-}" ] || skip "a sanitizer's own allocator comes first, and test programs let ours fail under it"
    local work at call
    for work in $WORKS; do
        while read -r at call; do
            point "$work" "memory:$at:ENOMEM" 'memory'
        done < <(points "ref/$work.memory" 500)
    done
    echo "# $tried failing allocations, $ended ended the work" >&3
    [ "$bad" -eq 0 ] && [ "$ended" -gt 10 ]
}
