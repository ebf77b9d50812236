# Writes values.json: data and what R makes of them. tests/evaluation/test_values_of_r.py reads it; the tests
# need no R. To make it anew:  Rscript make_values.R  in this folder (packages pROC, rms, ROCR, jsonlite).
#
# Where two R programs compute the same number, the script stops unless they agree. null: undefined in R.

suppressPackageStartupMessages({
  library(pROC)
  library(rms)
  library(ROCR)
})

POPULATION <- 0.0354

near <- function(a, b, tolerance = 1e-9) {
  stopifnot(isTRUE(all.equal(a, b, tolerance = tolerance, check.attributes = FALSE)))
}

roc_of <- function(y, s) roc(y, s, levels = c(0, 1), direction = "<", quiet = TRUE)

# Area between the ROC curve and sens_min left of FPR 1 - spec_min, from pROC's corners, segment by segment.
two_way_area <- function(curve, sens_min, spec_min) {
  o <- order(-curve$thresholds)
  x <- 1 - curve$specificities[o]
  h <- curve$sensitivities[o] - sens_min
  end <- 1 - spec_min
  area <- 0
  for (i in seq_len(length(x) - 1)) {
    if (x[i + 1] <= x[i] || x[i] >= end) next
    line <- function(u) h[i] + (h[i + 1] - h[i]) * (u - x[i]) / (x[i + 1] - x[i])
    cuts <- c(x[i], min(x[i + 1], end))
    zero <- x[i] - h[i] * (x[i + 1] - x[i]) / (h[i + 1] - h[i])
    if (is.finite(zero) && zero > cuts[1] && zero < cuts[2]) cuts <- c(cuts[1], zero, cuts[2])
    area <- area + sum(diff(cuts) * (pmax(line(head(cuts, -1)), 0) + pmax(line(tail(cuts, -1)), 0)) / 2)
  }
  area
}

ranked <- function(y, s) {
  if (length(unique(y)) < 2) return(list())
  curve <- roc_of(y, s)
  area <- as.numeric(auc(curve))
  wins <- wilcox.test(s[y == 1], s[y == 0], exact = FALSE)$statistic
  near(area, unname(wins) / (sum(y == 1) * sum(y == 0)))
  out <- list(auroc = area)
  enough <- min(table(y)) > 1
  limits <- if (enough) suppressWarnings(as.numeric(ci.auc(curve, method = "delong"))) else rep(NA, 3)
  out$auroc_delong_lo <- limits[1]
  out$auroc_delong_hi <- limits[3]
  out$delong_variance <- if (enough) suppressWarnings(var(curve, method = "delong")) else NA
  out$area_right_of_specificity_80 <-
    as.numeric(auc(curve, partial.auc = c(1, 0.8), partial.auc.focus = "specificity"))
  near(out$area_right_of_specificity_80, two_way_area(curve, 0, 0.8))
  out$tpauc <- two_way_area(curve, 0.8, 0.8)
  out$tpauc_norm <- out$tpauc / 0.04
  # Average precision from the precisions and recalls of ROCR (the first has nobody positive).
  pr <- performance(prediction(s, y), "prec", "rec")
  out$auprc <- sum(diff(pr@x.values[[1]]) * pr@y.values[[1]][-1])
  out
}

ratio <- function(a, b) if (b == 0) NA else a / b

rule <- function(y, positive, suffix) {
  tp <- sum(positive & y == 1)
  fp <- sum(positive & y == 0)
  fn <- sum(!positive & y == 1)
  tn <- sum(!positive & y == 0)
  sens <- ratio(tp, tp + fn)
  spec <- ratio(tn, tn + fp)
  yes <- sens * POPULATION + (1 - spec) * (1 - POPULATION)
  both <- length(unique(y)) == 2
  out <- list(
    sensitivity = sens, specificity = spec, ppv = ratio(tp, tp + fp), npv = ratio(tn, tn + fn),
    f1 = ratio(2 * tp, 2 * tp + fp + fn), balanced_accuracy = (sens + spec) / 2,
    accuracy = mean(positive == (y == 1)),
    mcc = if (both && length(unique(positive)) == 2) cor(y, positive) else NA,
    ppv_adj = if (both) ratio(sens * POPULATION, yes) else NA,
    npv_adj = if (both) ratio(spec * (1 - POPULATION), 1 - yes) else NA
  )
  names(out) <- paste0(names(out), "_", suffix)
  out
}

# The rule at pROC's threshold (p >= t for direction "<") has to be the rule that is counted here.
agree_with_proc <- function(y, p, t) {
  found <- coords(roc_of(y, p), t, input = "threshold", transpose = FALSE,
                  ret = c("tp", "fp", "sensitivity", "specificity", "ppv", "npv", "accuracy"))
  own <- rule(y, p >= t, "x")
  near(c(found$tp, found$fp), c(sum(p >= t & y == 1), sum(p >= t & y == 0)))
  for (name in c("sensitivity", "specificity", "ppv", "npv", "accuracy")) {
    if (is.finite(found[[name]])) near(found[[name]], own[[paste0(name, "_x")]])
  }
}

at_youden <- function(y, p) {
  if (length(unique(y)) < 2) return(list())
  all <- coords(roc_of(y, p), "all", transpose = FALSE,
                ret = c("threshold", "sensitivity", "specificity", "tp", "fp"))
  j <- round(all$sensitivity + all$specificity, 12)
  best <- coords(roc_of(y, p), "best", best.method = "youden", transpose = FALSE,
                 ret = c("sensitivity", "specificity"))
  near(max(j), max(best$sensitivity + best$specificity))
  someone <- all$tp + all$fp > 0
  t <- max(all$threshold[someone & j == max(j[someone])])  # among equals the highest, as documented here
  list(
    # pROC's threshold lies between two predictions; the first number at or above it is the same rule.
    values = c(list(threshold_youden = min(p[p >= t])), rule(y, p >= t, "youden")),
    proc_threshold = if (is.finite(t)) t else NA
  )
}

calibration <- function(y, p, separated) {
  out <- list(oe_ratio = sum(y) / sum(p))
  if (length(unique(y)) < 2) return(out)
  x <- qlogis(pmin(pmax(p, 1e-8), 1 - 1e-8))
  exact <- glm.control(epsilon = 1e-11, maxit = 100)
  # glm's steps can run away where a prediction is certain and wrong, so the score equation is solved directly.
  out$cal_intercept <- uniroot(function(a) sum(y - plogis(a + x)), c(-40, 40), tol = 1e-13)$root
  if (all(p > 0 & p < 1)) {
    near(out$cal_intercept, unname(coef(glm(y ~ 1, offset = x, family = binomial, control = exact))), 1e-8)
  }
  if (separated) return(c(out, list(cal_slope = NA)))  # no maximum: glm stops at some large number
  joint <- unname(coef(glm(y ~ x, family = binomial, control = exact)))
  out$cal_slope <- joint[2]
  if (is.na(joint[2])) return(out)
  rest <- y - plogis(joint[1] + joint[2] * x)
  stopifnot(abs(c(sum(rest), sum(rest * x))) < 1e-9)
  out$cal_intercept_joint <- joint[1]
  if (all(p > 0 & p < 1)) {  # val.prob leaves predictions of 0 and 1 out
    other <- val.prob(p, y, pl = FALSE)
    near(other[["Brier"]], mean((p - y)^2))
    # lrm rounds the predictions for its C and stops its iterations earlier than glm does here.
    stopifnot(abs(other[["C (ROC)"]] - as.numeric(auc(roc_of(y, p)))) < 1e-4)
    stopifnot(abs(c(other[["Intercept"]], other[["Slope"]]) - joint) < 1e-4)
  }
  out
}

smoothed <- function(y, p, surface) {
  fit <- loess(y ~ p, span = 0.75, degree = 2, family = "gaussian", control = loess.control(surface = surface))
  apart <- abs(predict(fit, data.frame(p = p)) - p)
  list(ici = mean(apart), e50 = median(apart), e90 = unname(quantile(apart, 0.9, type = 7)), emax = max(apart))
}

selective <- function(y, p) {
  wrong <- as.numeric((p >= 0.5) != (y == 1))
  o <- order(-pmax(p, 1 - p), method = "radix")  # stable
  area <- mean(cumsum(wrong[o]) / seq_along(o))
  r <- mean(wrong)
  list(aurc = area, eaurc = area - (r + if (r < 1) (1 - r) * log(1 - r) else 0))
}

net_benefit <- function(y, p, t) {
  mean(p >= t & y == 1) - mean(p >= t & y == 0) * t / (1 - t)
}

all_values <- function(y, p, smooth = TRUE, separated = FALSE) {
  v <- mean(y)
  brier <- mean((p - y)^2)
  bin <- cut(p, (0:10) / 10, right = TRUE)
  youden <- at_youden(y, p)
  values <- c(
    ranked(y, p),
    list(brier = brier, brier_scaled = if (v %in% c(0, 1)) NA else 1 - brier / (v * (1 - v))),
    calibration(y, p, separated),
    list(
      net_benefit_05 = net_benefit(y, p, 0.05), net_benefit_10 = net_benefit(y, p, 0.1),
      net_benefit_15 = net_benefit(y, p, 0.15), net_benefit_20 = net_benefit(y, p, 0.2),
      ece10 = sum(abs(tapply(y - p, bin, sum)), na.rm = TRUE) / length(p)
    ),
    selective(y, p),
    rule(y, p >= 0.5, "at_50"),
    youden$values,
    if (smooth) smoothed(y, p, "direct")
  )
  if (v > 0 && v < 1) for (t in c(0.05, 0.1, 0.15, 0.2, 0.5)) agree_with_proc(y, p, t)
  # What CalibrationCurves and most scripts call: loess with its default, an interpolated surface.
  interpolated <- if (smooth) smoothed(y, p, "interpolate")
  list(y = y, p = p, values = values, proc_threshold = youden$proc_threshold, interpolated = interpolated)
}

set.seed(2024)
draw <- function(n, cases, decimals) {
  y <- sample(rep(c(1, 0), c(cases, n - cases)))
  x <- rnorm(n) + 1.5 * y
  list(y = y, p = pmin(pmax(round(plogis(1.8 * x - 2), decimals), 0.001), 0.999))
}
a <- draw(208, 56, 6)
b <- draw(208, 56, 2)
c1 <- draw(208, 56, 1)
small <- draw(24, 8, 4)
ends <- draw(60, 20, 3)
ends$p[c(3, 11, 29)] <- 0
ends$p[c(7, 31)] <- 1
ends$y[c(3, 7)] <- c(1, 0)  # wrong and certain
edge <- list(
  y = c(1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1),
  p = c(0.05, 0.05, 0.1, 0.1, 0.15, 0.15, 0.2, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.7, 0.9)
)
binary <- read.csv("df_binary.csv")

cases <- list(
  continuous = all_values(a$y, a$p),
  ties = all_values(b$y, b$p),
  nine_values = all_values(c1$y, c1$p),
  small = all_values(small$y, small$p),
  worse_than_chance = all_values(a$y, 1 - a$p),
  zeros_and_ones = all_values(ends$y, ends$p),
  at_the_thresholds = all_values(edge$y, edge$p, smooth = FALSE),
  separated = all_values(c(0, 0, 0, 0, 0, 1, 1, 1), c(0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8),
                         smooth = FALSE, separated = TRUE),
  constant = all_values(rep(c(0, 0, 1), 5), rep(0.3, 15), smooth = FALSE),
  one_case = all_values(c(0, 0, 0, 1, 0, 0, 0, 0), c(0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6, 0.05), smooth = FALSE),
  no_case = all_values(rep(0, 6), c(0.1, 0.2, 0.4, 0.5, 0.6, 0.9), smooth = FALSE),
  only_cases = all_values(rep(1, 6), c(0.1, 0.2, 0.4, 0.5, 0.6, 0.9), smooth = FALSE),
  df_binary = all_values(binary$cancer, binary$cancerpredmarker)
)

pair <- function(y, s, u) {
  test <- suppressWarnings(roc.test(roc_of(y, s), roc_of(y, u), method = "delong", paired = TRUE))
  list(y = y, a = s, b = u, difference = unname(test$estimate[1] - test$estimate[2]), z = unname(test$statistic),
       p = test$p.value, lo = test$conf.int[1], hi = test$conf.int[2])
}
data(aSAH)
poor <- as.numeric(aSAH$outcome == "Poor")
wfns <- as.numeric(aSAH$wfns)
noise <- pmin(pmax(round(a$p + rnorm(208, 0, 0.2), 1), 0), 1)
pairs <- list(
  wfns_s100b = pair(poor, wfns, aSAH$s100b),
  wfns_ndka = pair(poor, wfns, aSAH$ndka),
  ndka_s100b = pair(poor, aSAH$ndka, aSAH$s100b),
  with_ties = pair(a$y, a$p, noise),
  opposite = pair(a$y, a$p, 1 - a$p),
  identical_ranks = pair(b$y, b$p, b$p^2)
)
scores <- lapply(list(s100b = aSAH$s100b, ndka = aSAH$ndka, wfns = wfns), function(s) {
  list(y = poor, p = s, values = ranked(poor, s))
})

nemenyi <- function(m) {
  r <- colMeans(t(apply(m, 1, rank)))
  k <- ncol(m)
  ptukey(sqrt(2) * abs(outer(r, r, "-")) / sqrt(k * (k + 1) / (6 * nrow(m))), k, Inf, lower.tail = FALSE)
}
blocks <- function(m) {
  test <- friedman.test(m)
  list(values = m, chi2 = unname(test$statistic), p = test$p.value, nemenyi = nemenyi(m))
}
ranks <- list(
  continuous = blocks(matrix(round(rnorm(60) + rep(c(0, 0, 0.3, 0.6, 1.2), each = 12), 4), 12)),
  ties = blocks(matrix(sample(0:3, 36, TRUE) + rep(c(0, 0, 1, 1), each = 9), 9)),
  two_blocks = blocks(matrix(c(1, 2, 2, 1, 3, 3), 2)),
  # The blocks of scikit-posthocs' tests; Sachs 1997, p. 675, the example of PMCMRplus's help pages.
  seven_methods = blocks(matrix(c(4, 1, 1, 3, 2, 2, 4, 3, 6, 4, 5, 4, 5, 6, 1, 6, 7, 5, 3, 7, 1), 3)),
  diuretics = blocks(matrix(c(
    3.88, 5.64, 5.76, 4.25, 5.91, 4.33, 30.58, 30.14, 16.92, 23.19, 26.74, 10.91, 25.24, 33.52, 25.45, 18.85, 20.45,
    26.67, 4.44, 7.94, 4.04, 4.4, 4.23, 4.36, 29.41, 30.72, 32.92, 28.23, 23.35, 12, 38.87, 33.12, 39.15, 28.06,
    38.23, 26.65
  ), 6)),
  eleven_methods = blocks(matrix(sample(0:40, 88, TRUE), 8))
)

grid <- expand.grid(c = factor(1:2), b = factor(1:3), a = factor(1:4))
grid$v <- round(0.8 + as.numeric(grid$a) / 50 - as.numeric(grid$b) / 90 + rnorm(24, 0, 0.02), 4)
table <- summary(aov(v ~ a + b + c, grid))[[1]]

p_values <- c(0.001, 0.2, 0.03, 0.03, 0.004, 0.9, 1, 0.0005, 0.049, 0.3)
moved <- plogis(qlogis(a$p) + qlogis(POPULATION) - qlogis(mean(a$y)))
curve_at <- function(p, share) sapply((1:99) / 100, function(t) {
  mean(p[a$y == 1] >= t) * share - mean(p[a$y == 0] >= t) * (1 - share) * t / (1 - t)
})
models <- matrix(round(runif(35), 3), 7)
models[1, 1] <- 0
models[2, ] <- 1
h <- function(p) ifelse(p == 0 | p == 1, 0, -p * log(p) - (1 - p) * log(1 - p))

# Numbers drawn as PRROC's own test draws them (tests/testthat/test-ROC.R, seed 101): R is needed for them.
suppressWarnings(set.seed(101, kind = "default", normal.kind = "default", sample.kind = "default"))
drawn <- c(rnorm(100, mean = 2), rnorm(100, mean = 0))
scores$prroc <- list(y = rep(c(1, 0), each = 100), p = drawn, values = ranked(rep(c(1, 0), each = 100), drawn))

version <- function(package) as.character(packageVersion(package))
result <- list(
  versions = list(R = paste(R.version$major, R.version$minor, sep = "."), pROC = version("pROC"),
                  rms = version("rms"), ROCR = version("ROCR")),
  cases = cases, scores = scores, pairs = pairs, ranks = ranks,
  critical_ranges = sapply(2:20, function(k) qtukey(0.95, k, Inf)),
  anova = list(values = grid$v, sum_of_squares = table[["Sum Sq"]], df = table[["Df"]]),
  p_adjust = list(p = p_values, p_holm = p.adjust(p_values, "holm"), p_bh = p.adjust(p_values, "BH")),
  population = list(moved = moved, shifted = curve_at(moved, POPULATION), unshifted = curve_at(a$p, POPULATION),
                    study = curve_at(a$p, mean(a$y))),
  entropies = list(p = models, predictive = h(colMeans(models)), expected = colMeans(h(models))),
  detectable = list(se = 0.02, difference = (qnorm(0.975) + qnorm(0.8)) * 0.02)
)
jsonlite::write_json(result, "values.json", digits = NA, auto_unbox = TRUE, na = "null")
