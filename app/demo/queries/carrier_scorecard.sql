-- A line for each carrier and quarter, from the daily delays, the months that had a day of more than an hour's average delay,
-- and how badly late aircraft hurt it.
SELECT
  a.name AS carrier,
  CONCAT('2013 Q', QUARTER(d.flight_day)) AS quarter,
  SUM(d.flights) AS flights,
  ROUND(SUM(d.minutes_late) / SUM(d.flights), 2) AS minutes_late_per_flight,
  IFNULL(GROUP_CONCAT(DISTINCT d.bad_month ORDER BY d.bad_month SEPARATOR ', '), 'none') AS months_with_bad_days,
  IFNULL(MAX(k.worst), 'too few flights') AS knock_on_rank
FROM (
  SELECT *, IF(average_delay > 60, DATE_FORMAT(flight_day, '%Y-%m'), NULL) AS bad_month
  FROM daily_delays
) d
JOIN airlines a ON a.carrier = d.carrier
LEFT JOIN knock_on_delays k ON k.carrier = d.carrier
GROUP BY a.name, QUARTER(d.flight_day)
ORDER BY carrier, quarter
