// SPDX-License-Identifier: Apache-2.0
// Sends the lines of standard input with a log library as its users set it up: client.js KIND URL JOB
'use strict'
const [kind, url, job] = process.argv.slice(2)
const lines = require('fs').readFileSync(0, 'utf8').split('\n').filter(Boolean)
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

async function winston (json) {
  const { createLogger, format } = require('winston')
  const LokiTransport = require('winston-loki')
  const transport = new LokiTransport({
    host: url, json, labels: { job, rank: '3' }, interval: 1, replaceTimestamp: true, format: format.printf(i => i.message),
    onConnectionError: e => { console.error(String(e)); process.exitCode = 1 }
  })
  const logger = createLogger({ level: 'info', transports: [transport] })
  for (const line of lines) logger.info(line)
  await transport.flush()
  logger.close()
}

async function pino () {
  const pino = require('pino')
  const transport = pino.transport({ target: 'pino-loki', options: { host: url, batching: { interval: 1 }, labels: { job } } })
  const logger = pino({ base: { rank: 3 } }, transport)
  for (const line of lines) logger.info(line)
  await sleep(2500)
  transport.end()
}

async function otel (name) {
  const { LoggerProvider, BatchLogRecordProcessor } = require('@opentelemetry/sdk-logs')
  const { OTLPLogExporter } = require(name)
  const { resourceFromAttributes } = require('@opentelemetry/resources')
  const exporter = new OTLPLogExporter({ url: url + '/v1/logs', compression: 'gzip' })
  const provider = new LoggerProvider({
    resource: resourceFromAttributes({ 'service.name': job, 'host.name': 'gpu-a17', rank: 3 }),
    processors: [new BatchLogRecordProcessor({ exporter })]
  })
  const logger = provider.getLogger('train')
  for (const line of lines) logger.emit({ severityNumber: 9, severityText: 'INFO', body: line })
  await provider.forceFlush()
  await provider.shutdown()
}

const kinds = {
  'winston-loki': () => winston(false),
  'winston-loki-json': () => winston(true),
  'pino-loki': pino,
  'otlp-json': () => otel('@opentelemetry/exporter-logs-otlp-http'),
  'otlp-proto': () => otel('@opentelemetry/exporter-logs-otlp-proto')
}
kinds[kind]().then(() => sleep(200)).then(() => process.exit(), fault => { console.error(fault); process.exit(1) })
