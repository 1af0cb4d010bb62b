-- One row for each planned departure of 2013, with the day as a date and cancelled flights marked.
-- Every later task reads this table. A flight without a departure time never took off.
DROP TABLE IF EXISTS departures;

CREATE TABLE departures STORED AS PARQUET AS
SELECT
  to_date(concat_ws('-', cast(f.year AS string), lpad(f.month, 2, '0'), lpad(f.day, 2, '0'))) AS flight_day,
  f.carrier,
  f.flight,
  f.tailnum,
  f.origin,
  f.dest,
  f.distance,
  f.time_hour,
  f.sched_dep_time,
  f.dep_delay,
  f.arr_delay,
  if(f.dep_time IS NULL, 1, 0) AS cancelled
FROM flights f;

-- The months at a glance
SELECT
  date_format(flight_day, 'yyyy-MM') AS month,
  count(*) AS departures,
  sum(cancelled) AS cancelled,
  round(100 * avg(cancelled), 2) AS cancelled_percent
FROM departures
GROUP BY date_format(flight_day, 'yyyy-MM')
ORDER BY month;
