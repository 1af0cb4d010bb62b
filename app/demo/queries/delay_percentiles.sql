-- How late is late? Percentiles of the arrival delay from each airport, one row for each percentile.
WITH spread AS (
  SELECT
    origin,
    count(arr_delay) AS arrivals,
    approx_percentile(arr_delay, ARRAY[0.5, 0.9, 0.99]) AS minutes
  FROM departures
  GROUP BY origin
)
SELECT
  s.origin,
  s.arrivals,
  element_at(ARRAY['half', 'nine in ten', 'ninety-nine in a hundred'], p.position) AS share_of_flights,
  p.minutes AS at_most_minutes_late
FROM spread s
CROSS JOIN UNNEST(s.minutes) WITH ORDINALITY AS p (minutes, position)
ORDER BY s.origin, p.position
