from django.test import SimpleTestCase

from bench import scaling_page


class ScalingPageTests(SimpleTestCase):
    maxDiff = None

    def test_its_figures_are_those_of_the_results(self):
        page = scaling_page.page()
        self.assertEqual(scaling_page.PAGE.read_text(), page, "run: .venv/bin/python -m bench.scaling_page")
        self.assertIn("| web processes, ms a photo |", page)
        self.assertIn("| photos of 1 MB a minute | 10 | 1,000 | 100,000 |", page)
