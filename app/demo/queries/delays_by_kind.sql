-- Departure and arrival delays side by side: each flight gives one row per kind of delay.
-- Rolled up from origin and kind to all flights; grouping__id tells the level (0 is the finest).
SELECT
  origin,
  kind,
  grouping__id AS level,
  count(minutes) AS flights,
  round(avg(minutes), 2) AS average_minutes,
  max(minutes) AS worst_minutes
FROM departures
LATERAL VIEW explode(map('departure', dep_delay, 'arrival', arr_delay)) delays AS kind, minutes
WHERE cancelled = 0
GROUP BY origin, kind WITH ROLLUP
ORDER BY level DESC, origin, kind
