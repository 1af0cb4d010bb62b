-- The same question as the Hive task asks, written for Presto by somebody who counted a cancelled flight
-- as one that left on time. Reconcile the two to see on which days that flatters a carrier.
SELECT
  carrier,
  flight_day,
  count(*) AS flights,
  sum(greatest(coalesce(dep_delay, 0), 0)) AS minutes_late,
  round(avg(coalesce(dep_delay, 0)), 2) AS average_delay
FROM departures
GROUP BY carrier, flight_day
ORDER BY carrier, flight_day
