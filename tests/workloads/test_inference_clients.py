"""Client mixtures: rates, shares and bursts of each client, from tables and from files."""

from __future__ import annotations

import numpy as np
import pytest

from clustersim.catalog.client_mixtures import SHELF
from clustersim.errors import InputError
from clustersim.spec.arrivals import ClientArrivals
from clustersim.workloads.serving.client_mixtures import client_times, clients_of, read_clients

HEADER = "client,window_start_s,rate_rps,cv,arrival_dist,param1,param2\n"
ROWS = (
    "0,0,2.0,1.0,Gamma,1.0,9\n0,600,4.0,1.0,Gamma,1.0,9\n"
    "7,600,1.0,3.0,Weibull,0.5,9\n7,1800,1.0,3.0,Gamma,0.2,9\n"
)


def streams(client, window):
    return np.random.default_rng([client, window, 11])


def times(spec, *, base=None, duration_s=None, requests=None):
    clients = clients_of(spec, base=base)
    return client_times(clients, spec, streams=streams, requests=requests, duration_s=duration_s)


@pytest.fixture
def fits(tmp_path):
    path = tmp_path / "fits.csv"
    path.write_text(HEADER + ROWS)
    return path


def test_rates_follow_the_windows_of_the_file(fits):
    spec = ClientArrivals(kind="clients", path=str(fits), rate_scale=5.0)
    found = times(spec, duration_s=2400.0)
    counts = np.histogram(found, [0, 600, 1200, 1800, 2400])[0]
    for count, rate in zip(counts, (2.0, 5.0, 0.0, 1.0), strict=True):
        assert count == pytest.approx(600 * 5 * rate, rel=0.12)
    assert np.all(np.diff(found) >= 0)


def test_a_service_may_open_in_the_middle_of_the_data(fits):
    spec = ClientArrivals(kind="clients", path=str(fits), window_start="900 s", rate_scale=20.0)
    found = times(spec, duration_s=300.0)
    assert len(found) == pytest.approx(300 * 100, rel=0.03)
    assert found.max() <= 300.0


def test_a_rate_of_ones_own_is_met_over_the_duration(fits):
    spec = ClientArrivals(kind="clients", path=str(fits), rate="30 req/s")
    assert len(times(spec, duration_s=2400.0)) == pytest.approx(30 * 2400, rel=0.03)


def test_the_draws_of_a_window_are_the_same_at_every_rate(fits):
    slow, fast = (
        times(ClientArrivals(kind="clients", path=str(fits), rate_scale=scale), duration_s=600.0)
        for scale in (1.0, 4.0)
    )
    np.testing.assert_allclose(slow, 4.0 * fast[: len(slow)], rtol=1e-9)
    assert len(fast) > 3.5 * len(slow)


def test_a_longer_run_begins_with_the_same_arrivals(fits):
    spec = ClientArrivals(kind="clients", path=str(fits))
    short, longer = times(spec, duration_s=1200.0), times(spec, duration_s=2400.0)
    np.testing.assert_allclose(short, longer[: len(short)])
    assert times(spec, requests=50).tolist() == pytest.approx(longer[:50].tolist())


def test_gaps_have_the_distribution_of_their_window(tmp_path):
    path = tmp_path / "one.csv"
    rows = [f"0,{600 * window},20,0,Weibull,0.5,0" for window in range(20)]
    path.write_text(HEADER + "\n".join(rows) + "\n")
    gaps = np.diff(times(ClientArrivals(kind="clients", path=str(path)), duration_s=12000.0))
    # A Weibull of shape 1/2 has mean 2 and standard deviation √20, in units of its scale.
    assert gaps.std() / gaps.mean() == pytest.approx(np.sqrt(20) / 2, rel=0.1)
    assert np.median(gaps) / gaps.mean() == pytest.approx(np.log(2) ** 2 / 2, rel=0.05)


@pytest.mark.parametrize("name", ["servegen-m-small", "servegen-deepseek-r1"])
def test_a_mixture_of_the_catalogue_has_its_rate_and_its_largest_client(name):
    mixture = SHELF.get(name)
    spec = ClientArrivals(kind="clients", table=name, rate_scale=10.0 / mixture.rate_per_s)
    found = times(spec, duration_s=86_400.0)
    assert len(found) == pytest.approx(864_000, rel=0.05)
    shares = np.array([group.rate_per_s for group in mixture.groups]) / mixture.rate_per_s
    assert shares[0] == shares.max() > 0.25
    assert all(np.mean(group.hourly) == pytest.approx(1.0, abs=0.01) for group in mixture.groups)


def test_the_mixtures_are_those_of_the_public_fits(shared):
    fits = read_clients(shared("traces/servegen_client_rates_language_m-small.csv.gz"))
    clients = fits.until(fits.end_s)
    mixture = SHELF.get("servegen-m-small")
    assert sum(group.clients for group in mixture.groups) == len(clients) == 43
    expected = sum(client.expected(0.0, fits.end_s) for client in clients)
    assert mixture.rate_per_s == pytest.approx(expected / (14 * 86_400), rel=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,0,1,1,Pareto,1,1\n", "arrival_dist is 'Pareto'; Gamma or Weibull"),
        ("0,0,-1,1,Gamma,1,1\n", "rate_rps is '-1'"),
        ("0,0,1,1,Gamma,x,1\n", "param1 is 'x'"),
    ],
)
def test_broken_fits_are_refused_with_their_line(tmp_path, text, message):
    path = tmp_path / "fits.csv"
    path.write_text(HEADER + text)
    with pytest.raises(InputError, match=rf"fits\.csv:2: {message}"):
        read_clients(path)


def test_an_unknown_mixture_and_an_empty_part_of_the_data_are_refused(fits):
    with pytest.raises(InputError, match="Did you mean 'servegen-m-small'"):
        clients_of(ClientArrivals(kind="clients", table="servegen-m-smal"), base=None)
    spec = ClientArrivals(kind="clients", path=str(fits), window_start="1 h")
    with pytest.raises(InputError, match="no client sends anything"):
        times(spec, duration_s=60.0)
