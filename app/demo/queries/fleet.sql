-- Who built the aircraft that flew: families of models (the part before the dash), their years and their makers.
DROP TABLE IF EXISTS fleet;

CREATE TABLE fleet AS
SELECT
  SUBSTRING_INDEX(p.model, '-', 1) AS family,
  GROUP_CONCAT(DISTINCT SUBSTRING_INDEX(p.manufacturer, ' ', 1) ORDER BY SUBSTRING_INDEX(p.manufacturer, ' ', 1) SEPARATOR ', ') AS makers,
  COUNT(*) AS aircraft,
  MIN(p.year) AS oldest,
  IFNULL(ROUND(AVG(p.seats)), 0) AS average_seats
FROM planes p
GROUP BY SUBSTRING_INDEX(p.model, '-', 1);

SELECT family, makers, aircraft, IFNULL(oldest, 'unknown') AS oldest, average_seats
FROM fleet
WHERE aircraft >= 10
ORDER BY aircraft DESC, family;
