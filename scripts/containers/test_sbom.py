"""Tests of what an image is made of, without a daemon: python3 -m unittest discover scripts/containers"""

import unittest

import sbom

STATUS = b"""Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u14
Description: library
 Package: not a field, as its line is a continuation

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""


def urls(packages):
    return [it["externalRefs"][0]["referenceLocator"] for it in packages]


class Records(unittest.TestCase):
    def test_packages_that_are_installed_are_listed_by_dpkg(self):
        expected = ["pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=bookworm"]
        self.assertEqual(urls(sbom.debian({"var/lib/dpkg/status": STATUS})), expected)

    def test_a_record_of_an_image_without_dpkg_has_no_state(self):
        records = {
            "var/lib/dpkg/status.d/netbase": b"Package: netbase\nArchitecture: all\nVersion: 6.4\n",
            "var/lib/dpkg/status.d/netbase.md5sums": b"Package: wrong\nArchitecture: all\nVersion: 0\n",
            "etc/other": b"Package: other\nArchitecture: all\nVersion: 1\n",
        }
        self.assertEqual(urls(sbom.debian(records)), ["pkg:deb/debian/netbase@6.4?arch=all&distro=bookworm"])

    def test_names_of_python_packages_are_normalised_in_their_url_only(self):
        contents = {"opt/venv/lib/Jupyter_Core-5.dist-info/METADATA": b"Name: Jupyter_Core\nVersion: 5.1\n\nName: no\n"}
        found = list(sbom.python(contents))
        self.assertEqual(urls(found), ["pkg:pypi/jupyter-core@5.1"])
        self.assertEqual(found[0]["name"], "Jupyter_Core")

    def test_identifiers_have_the_format_s_signs_only(self):
        made = sbom.package("deb", "libstdc++6", "1:2.3~a+b", "pkg:x")
        self.assertRegex(made["SPDXID"], r"^SPDXRef-[A-Za-z0-9.-]+$")


class Crates(unittest.TestCase):
    def test_crates_of_the_binary_are_listed_once_and_those_of_tests_are_not(self):
        found = list(sbom.crates(""))
        self.assertEqual(len({it["SPDXID"] for it in found}), len(found))
        names = {it["name"] for it in found}
        self.assertLessEqual({"onelook-cli", "onelook-graph", "clap", "tokio"}, names)
        self.assertFalse(names & {"insta", "test-support", "serde_derive", "parquet"})
        clap = next(it for it in found if it["name"] == "clap")
        self.assertEqual(clap["licenseDeclared"], "MIT OR Apache-2.0")
        self.assertRegex(clap["checksums"][0]["checksumValue"], "^[0-9a-f]{64}$")

    def test_features_add_their_crates(self):
        self.assertIn("parquet", {it["name"] for it in sbom.crates("parquet")})


if __name__ == "__main__":
    unittest.main()
