"""Retention passes the committed position: what is lost is named, and nothing is done until a person has reset.

Two instances work off a part of a story and end. What is fed then is deleted by the topic's retention before anybody
has read it. The processors must refuse to start, name the lost records exactly, and write nothing. After the reset
they go on with what is left, as if they had never known more.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from chaos.brokers import Brokers
from chaos.checker import Finding, Record, judge
from chaos.expected import Expected, run_stage, stages
from chaos.feeder import Feeder
from chaos.records import Reader, read_committed
from chaos.scenario import PACE, PLACES, Report, Say, clean_up, ended, history_of, positions_of, rest
from chaos.workers import Workers
from chaos.workload import PARTITIONS, Story
from kafka.admin import ConfigResource

from processors.stream.log import Record as LogRecord
from processors.stream.log import TopicPartition
from topics.catalog import MARKET_TICKS, changelog
