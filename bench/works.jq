# What works.sh makes of logs and profiles. A result: {work, precision, tokens_per_s, peak_mb, phases: {NAME: {ms, gflop}}}, of one step.

def median: sort | length as $n | if $n == 0 then 0 else (.[($n - 1) / 2 | floor] + .[$n / 2 | floor]) / 2 end;

# The lines of timing.jsonl; the first step, which brings pages in, does not count.
def training($work; $precision):
    (map(.peak_rss_mb) | max) as $peak
    | (if length > 1 then .[1:] else . end) as $step
    | def of($name): map((.phase_ms[$name] // 0) as $ms | {ms: $ms, gflop: ($ms * (.phase_gflops[$name] // 0) / 1000)});
      {work: $work, precision: $precision, tokens_per_s: ($step | map(.tokens_per_s) | median), fastest: ($step | map(.tokens_per_s) | max), peak_mb: $peak,
       phases: ([$step[].phase_ms | keys[]] | unique
                | map(. as $name | {key: $name, value: ($step | of($name) | {ms: (map(.ms) | median), gflop: (map(.gflop) | median)})}) | from_entries)};

# Two profiles, of some texts and of more: the second less the first. All of those texts are a step.
def marginal($work; $precision):
    (.[0].phases | map({key: .phase, value: .}) | from_entries) as $before
    | (.[1].wall_s - .[0].wall_s) as $s
    | {work: $work, precision: $precision, tokens_per_s: (if $s > 0 then (.[1].rows - .[0].rows) / $s else 0 end), peak_mb: .[1].peak_rss_mb,
       phases: (.[1].phases
                | map({key: .phase, value: {ms: ([1000 * (.s - ($before[.phase].s // 0)), 0] | max), gflop: (.gflop - ($before[.phase].gflop // 0))}})
                | from_entries)};

def right($n): tostring | . + " " * ([$n - length, 0] | max);
def left($n): tostring | " " * ([$n - length, 0] | max) + .;
def one: . * 10 | round | "\(. / 10 | floor).\(. % 10)";
def rate: if .ms > 0 then 1000 * .gflop / .ms else 0 end;
def sum: {ms: (map(.ms) | add), gflop: (map(.gflop) | add)};
def share($whole): if $whole > 0 then "\(100 * . / $whole | round) %" else "-" end;

# $peak: {f32, bf16, int8, sgemm} in 1e9 operations a second.
def works($peak):
    ("work" | right(22)) + ("kind" | right(6)) + ("tokens/s" | left(10)) + ("fastest" | left(9)) + ("GFLOP/s" | left(10)) + ("of peak" | left(9)) + ("of sgemm" | left(10))
        + ("peak MiB" | left(10)),
    (.[] | ([.phases[]] | sum | rate) as $r | $peak[.precision] as $most
     | (.work | right(22)) + (.precision | right(6)) + (.tokens_per_s | one | left(10)) + (if .fastest then .fastest | one else "" end | left(9)) + ($r | one | left(10))
       + ($r | share($most // 0) | left(9)) + ($r | share($peak.sgemm) | left(10)) + (.peak_mb | round | left(10)));

# Products in several precisions are one row.
def joined: to_entries | group_by(.key | sub(" (bf16|int8|f32)$"; "")) | map({key: (.[0].key | sub(" (bf16|int8|f32)$"; "")), value: (map(.value) | sum)})
    | from_entries;

# Phases as rows, the longest first, works as columns; a row that is nowhere one part in a thousand is left out.
def phases:
    map(([.phases[]] | sum.ms) as $whole | .phases |= (joined | with_entries(select(.value.ms > $whole / 1000)))) as $all
    | $all
    | ([.[].phases | to_entries[] | select(.value.ms > 0)] | group_by(.key) | map({name: .[0].key, ms: (map(.value.ms) | add)}) | sort_by(-.ms)) as $rows
    | ("share of a step, GFLOP/s" | right(36)) + ([.[] | "\(.short) \(.precision)" | left(18)] | add),
      ($rows[].name as $name
       | ($name | right(36)) + ([$all[] | ([.phases[]] | sum.ms) as $whole | .phases[$name]
            | if . == null or .ms == 0 then "" else ("\(100 * .ms / $whole | one) %") + (if .gflop > 0 then rate | round | left(7) else " " * 7 end) end
            | left(18)] | add));
