#!/usr/bin/env bats
# Commands that are killed before a file call (tests/faults.bash); torture.bats does it to training by strace.

load faults

@test "killed before any file call: nothing half done is taken for good, and the same command cleans up and ends" {
    local work at call killed=0
    for work in features vectors predict evaluate prepare export average resume train pretrain; do
        while read -r at call; do
            point "$work" "any:$at:kill" none
            killed=$((killed + 1))
        done < <(points "ref/$work.calls" 60)
    done
    echo "# $killed kills" >&3
    [ "$bad" -eq 0 ] && [ "$killed" -gt 10 ]
}
