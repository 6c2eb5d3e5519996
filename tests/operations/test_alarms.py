"""The alarms and the dashboard use metrics that /metrics has, and docs/operations.md explains each alarm."""

import json
import re
import shutil
import subprocess

import yaml
from django.conf import settings
from django.test import SimpleTestCase

from apps.common.observability import metrics
from apps.tickets.direct.beginning import EVENTS
from apps.tickets.handover.archive import OUTCOMES
from apps.tickets.lifecycle.outcomes import ERROR_CODES
from tests.operations.test_metrics_page import MetricsTestCase
from tests.test_readme import PAGES, anchors_of

DOCS = settings.BASE_DIR / "docs"
RULES = [rule for group in yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((DOCS / "grafana-dashboard.json").read_text())
ALARM_EXPRESSIONS = [rule["expr"] for rule in RULES]
PANEL_EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]

# What of the language of Prometheus they use: https://prometheus.io/docs/prometheus/latest/querying/
FUNCTIONS = {"absent", "delta", "histogram_quantile", "increase", "max_over_time", "rate", "sum", "topk"}
WORDS = FUNCTIONS | {"and", "by"}
SELECTOR = re.compile(r"\b(hopla_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
DURATION = re.compile(r"[1-9]\d*[smhd]")

# The values that a rule may ask a label for, where they are ours.
VALUES = {"code": set(ERROR_CODES), "state": {"queued", "started", "failed"}, "status": {"queued", "uploading", "5.."}}
VALUES["outcome"] = set(OUTCOMES)
VALUES["event"] = set(EVENTS)


def used_in(expression: str) -> list[tuple[str, set[str]]]:
    """Each metric it speaks of, with the labels that it expects of it."""
    grouped = {label for labels in re.findall(r"\bby\s*\(([^)]*)\)", expression) for label in labels.split(", ")}
    return [
        (name, {label for label, _, _ in MATCHER.findall(matchers)} | grouped)
        for name, matchers in SELECTOR.findall(expression)
    ]


def words_of(expression: str) -> set[str]:
    """All that is no metric, no label, no number and no duration."""
    left = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby\s*\([^)]*\)", " by ", expression)
    return set(re.findall(r"[A-Za-z_]\w*", left)) - {name for name, _ in used_in(expression)}


class NameTests(MetricsTestCase):
    def exposed(self) -> dict[str, set[str]]:
        """The labels of every metric of a hopla where everything has happened at least once."""
        for name, (_, labels) in metrics.COUNTERS.items():
            metrics.count(name, **dict.fromkeys(labels, "x"))
        for name, (_, labels, _) in metrics.HISTOGRAMS.items():
            metrics.observe(name, 1, **dict.fromkeys(labels, "x"))
        found = {}
        for name, *labels in self.scrape():
            found.setdefault(name, set()).update(label.partition("=")[0] for label in labels)
        return found

    def test_every_metric_and_label_exists(self):
        exposed = self.exposed()
        for expression in ALARM_EXPRESSIONS + PANEL_EXPRESSIONS:
            with self.subTest(expression):
                used = used_in(expression)
                self.assertTrue(used)
                for name, labels in used:
                    self.assertIn(name, exposed)
                    self.assertLessEqual(labels, exposed[name])

    def test_every_metric_is_on_the_dashboard(self):
        shown = {name for expression in PANEL_EXPRESSIONS for name, _ in used_in(expression)}
        shown = {re.sub("_(total|bucket|sum|count)$", "", name) for name in shown}
        exposed = {re.sub("_(total|bucket|sum|count)$", "", name) for name in self.exposed()}
        self.assertEqual(exposed - shown, set())


class RuleTests(SimpleTestCase):
    def test_every_alarm_is_complete(self):
        self.assertEqual(len({rule["alert"] for rule in RULES}), len(RULES))
        for rule in RULES:
            with self.subTest(rule["alert"]):
                self.assertLessEqual(rule.keys(), {"alert", "expr", "for", "labels", "annotations"})
                self.assertRegex(rule["alert"], "^Hopla[A-Z]")
                self.assertIn(rule["labels"]["severity"], {"page", "ticket"})
                self.assertEqual(rule["annotations"].keys(), {"summary", "runbook"})
                self.assertRegex(rule.get("for", "1m"), rf"^{DURATION.pattern}$")

    def test_every_alarm_has_its_section_and_every_section_its_alarm(self):
        page = PAGES[DOCS / "operations.md"]
        alarms = page.partition("\n## Alarms\n")[2].partition("\n## ")[0]
        self.assertEqual(re.findall(r"^### (.*)$", alarms, re.MULTILINE), [rule["alert"] for rule in RULES])
        for rule in RULES:
            path, _, anchor = rule["annotations"]["runbook"].partition("#")
            self.assertEqual((path, anchor), ("docs/operations.md", rule["alert"].lower()))
            self.assertIn(anchor, anchors_of(page))

    def test_they_ask_for_values_that_there_are(self):
        for expression in ALARM_EXPRESSIONS + PANEL_EXPRESSIONS:
            for label, _, values in MATCHER.findall(expression):
                with self.subTest(expression, label=label):
                    self.assertLessEqual(set(values.split("|")), VALUES[label])

    def test_every_code_of_a_failure_but_what_people_decide_rings_an_alarm(self):
        about_failures = "".join(rule["expr"] for rule in RULES if "hopla_photos_failed_total" in rule["expr"])
        silent = {code for code in ERROR_CODES if code not in about_failures}
        self.assertEqual(silent, {"ticket_cancelled", "ticket_expired", "direct_upload_given_up"})

    def test_expressions_are_made_of_known_words_and_close_what_they_open(self):
        for expression in ALARM_EXPRESSIONS + PANEL_EXPRESSIONS:
            with self.subTest(expression):
                self.assertLessEqual(words_of(expression), WORDS)
                self.assertEqual(expression.count("("), expression.count(")"))
                for window in re.findall(r"\[([^\]]*)\]", expression):
                    self.assertRegex(window, rf"^({DURATION.pattern}|\$__rate_interval)$")

    def test_promtool_takes_the_rules_where_there_is_one(self):
        promtool = shutil.which("promtool")
        if promtool is None:
            self.skipTest("needs promtool, which comes with Prometheus")
        for command in (["check", "rules", DOCS / "alerts.yml"], ["test", "rules", "tests/alarms.yml"]):
            run = subprocess.run([promtool, *command], cwd=settings.BASE_DIR, capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)


class DashboardTests(SimpleTestCase):
    def test_panels_have_numbers_of_their_own_and_do_not_overlap(self):
        panels = DASHBOARD["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken = set()
        for panel in panels:
            at = panel["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            with self.subTest(panel["title"]):
                self.assertLessEqual(at["x"] + at["w"], 24)
                self.assertFalse(cells & taken)
            taken |= cells

    def test_every_panel_asks_the_prometheus_that_is_chosen_on_top(self):
        self.assertEqual([variable["name"] for variable in DASHBOARD["templating"]["list"]], ["source"])
        sources = {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])}
        self.assertEqual(sources, {"${source}"})
