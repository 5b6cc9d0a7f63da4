use k485_proto::dialect::K2;
