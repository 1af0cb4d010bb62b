-- Do storms delay departures? The hours of storm_hours against all the others, airport by airport.
SELECT
  d.origin,
  CASE WHEN s.time_hour IS NULL THEN 'calm' ELSE 'storm' END AS weather,
  count(*) AS departures,
  round(avg(d.dep_delay), 1) AS average_delay,
  round(100.0 * sum(d.cancelled) / count(*), 1) AS cancelled_percent
FROM departures d
LEFT JOIN storm_hours s ON s.origin = d.origin AND s.time_hour = d.time_hour
GROUP BY d.origin, CASE WHEN s.time_hour IS NULL THEN 'calm' ELSE 'storm' END
ORDER BY d.origin, weather
