-- Daily delays of each carrier. The average is over the flights that took off: a cancelled flight has no delay.
CREATE TABLE IF NOT EXISTS daily_delays (
  carrier string,
  flights bigint,
  minutes_late bigint,
  average_delay double
)
PARTITIONED BY (flight_day date)
STORED AS PARQUET;

INSERT OVERWRITE TABLE daily_delays PARTITION (flight_day)
SELECT
  carrier,
  count(*),
  sum(if(dep_delay > 0, dep_delay, 0)),
  round(avg(dep_delay), 2),
  flight_day
FROM departures
GROUP BY carrier, flight_day;

SELECT carrier, flight_day, flights, minutes_late, average_delay
FROM daily_delays
ORDER BY carrier, flight_day;
