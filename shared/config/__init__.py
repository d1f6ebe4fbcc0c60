"""What a run is asked to do: choices, rules, presets, schedules."""
