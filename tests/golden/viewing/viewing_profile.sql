-- viewing_profile of the days of the logs, worked out by another engine in one statement from them.
WITH line AS (
    SELECT strptime(parse_filename(filename, true), '%Y%m%d')::DATE AS log_date, line
    FROM read_csv($logs, columns = {'line': 'VARCHAR'}, delim = '\0', quote = '', escape = '',
                  header = false, auto_detect = false, filename = true, ignore_errors = true, strict_mode = false)
), record AS (
    SELECT log_date, upper(trim(line ->> '$._source.Contract')) AS contract, line -> '$._source.TotalDuration' AS duration,
           line ->> '$._source.AppName' AS app
    FROM (SELECT log_date, CASE WHEN json_valid(line) THEN line END AS line FROM line)
    WHERE json_type(line) = 'OBJECT'
), view AS (
    SELECT log_date, contract, duration::BIGINT AS seconds,
           CASE WHEN app IN ('CHANNEL', 'KPLUS') THEN 1 WHEN app IN ('MOVIE', 'VOD', 'FIMS', 'BHD') THEN 2
                WHEN app = 'CHILD' THEN 3 WHEN app = 'RELAX' THEN 4 WHEN app = 'SPORT' THEN 5 END AS category
    FROM record
    WHERE regexp_full_match(contract, '[A-Z]{2,6}[0-9]{4,8}') AND json_type(duration) IN ('UBIGINT', 'BIGINT')
      AND duration::BIGINT BETWEEN 1 AND 86400
), total AS (
    SELECT contract,
           coalesce(sum(seconds) FILTER (category = 1), 0) AS tv,
           coalesce(sum(seconds) FILTER (category = 2), 0) AS movie,
           coalesce(sum(seconds) FILTER (category = 3), 0) AS child,
           coalesce(sum(seconds) FILTER (category = 4), 0) AS relax,
           coalesce(sum(seconds) FILTER (category = 5), 0) AS sport,
           sum(seconds) AS total,
           count(DISTINCT log_date) AS days
    FROM view WHERE category IS NOT NULL GROUP BY contract
), ranked AS (
    SELECT contract, ['TV', 'Movie', 'Child', 'Relax', 'Sport'] AS names, [tv, movie, child, relax, sport] AS sums,
           total, days
    FROM total
)
SELECT contract, sums[1], sums[2], sums[3], sums[4], sums[5], total, names[list_position(sums, list_max(sums))],
       array_to_string(list_filter(names, lambda name, i: sums[i] > 0), '-'), days,
       round(days * 100.0 / $days_asked, 2)::DECIMAL(5, 2),
       CASE WHEN days * 30 < 7 * $days_asked THEN 'At Risk' WHEN days * 30 < 14 * $days_asked THEN 'Need Attention'
            WHEN days * 30 < 21 * $days_asked THEN 'Valuable'
            ELSE 'Loyal' END
FROM ranked ORDER BY ALL
